"""What games against a discriminator share: packs, costs beside the game, how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gen_models.errors import UsageError
from gen_models.models.latent import NetworkFactory, Shape
from gen_models.objectives.adversarial import AdversarialObjective, NonSaturating
from gen_models.recipes import build


class Charge(NamedTuple):
    """A part of a loss: the mean of what is logged, and what it is multiplied by."""

    weight: float
    mean: Tensor


def charged(values: dict[str, Tensor], charges: Mapping[str, Charge]) -> dict[str, Tensor]:
    """The values with the charges beside them, and added to "loss" by their weights."""
    loss = values["loss"]
    for charge in charges.values():
        loss = loss + charge.weight * charge.mean
    return {**values, **{name: charge.mean for name, charge in charges.items()}, "loss": loss}


def made_game(adversarial: Any) -> AdversarialObjective:
    """The adversarial objective, built; non-saturating where there is none.

    Raises:
        UsageError: If it is not one.
    """
    made = build(adversarial, "model.adversarial") or NonSaturating()
    if not hasattr(made, "discriminator"):
        raise UsageError(
            f"model.adversarial={type(made).__name__} has no two sides: choose a GAN's objective, "
            "such as model/objective@model.adversarial=non_saturating"
        )
    return made


def verdict(game: AdversarialObjective, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """The discriminator's values.

    Args:
        game: Whose loss it minimises.
        real: Its logits of what is real, (B,).
        fake: Its logits of what was made, (B,).

    Returns:
        "loss" and "game", the same until others add to the loss; the mean logits; "told_apart",
        the share of pairs in which the real logit is the higher one: 1 where the discriminator is
        never wrong; what the objective measures.
    """
    apart = (real > fake).float().mean()
    means = {"real_logit": real.mean(), "fake_logit": fake.mean(), "told_apart": apart}
    loss = game.discriminator(real, fake).mean()
    return {"loss": loss, "game": loss, **means, **game.measures(real, fake)}


def check_judgements(game: AdversarialObjective, discriminator: nn.Module) -> None:
    """Refuse a game of reconstruction errors with a discriminator that gives none.

    Raises:
        UsageError: Saying which would do.
    """
    if game.of_errors and not getattr(discriminator, "gives_errors", False):
        raise UsageError(
            f"{type(game).__name__} plays with reconstruction errors, which this discriminator "
            "does not give: choose model=began, or model/trunk=autoencoding beside it"
        )


def check_slopes(penalties: Mapping[str, object], discriminator: nn.Module) -> None:
    """Refuse batch norm under a penalty: a logit's slope is then in the other images too.

    Raises:
        UsageError: Naming the penalties.
    """
    if penalties and any(isinstance(part, _BatchNorm) for part in discriminator.modules()):
        raise UsageError(
            f"model.penalties ({', '.join(penalties)}) are of the slope at each image by itself, "
            "which batch norm in the discriminator mixes with the others: set "
            "model.trunk.norm=group or null, or model/penalties=none"
        )


def in_full(said: Tensor) -> Tensor:
    """The same in float32 at least: under autocast losses of half precision would be summed up."""
    return said.to(torch.promote_types(said.dtype, torch.float32))


def pack(shown: Tensor, size: int) -> Tensor:
    """Whole packs of `size` images, beside each other along the channels (Lin et al., 2018).

    Args:
        shown: (B, C, H, W), B a multiple of the size.
        size: m, images a pack.

    Returns:
        (B / m, m C, H, W).
    """
    return shown.reshape(-1, size * shown.shape[1], *shown.shape[2:]) if size > 1 else shown


def whole_packs(x: Tensor, size: int) -> Tensor:
    """Images (B, ...), and the first ones again until their number is a multiple of `size`."""
    missing = -len(x) % size
    return x[torch.arange(len(x) + missing, device=x.device) % len(x)] if missing else x


def widened(*, trunk: NetworkFactory, extra: int, shape: Shape, features: int) -> nn.Module:
    """A trunk with `extra` features more than it is asked for.

    Args:
        trunk: Factory or recipe of the trunk.
        extra: Further features, linear readings of what the trunk's last layer sees.
        shape: (C, H, W) of the images.
        features: What the caller asks for.
    """
    network: nn.Module = build(trunk, "model.trunk")(shape=shape, features=features + extra)
    return network
