"""A discriminator beside another teacher: which game is played, and how it stands."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gen_models.errors import UsageError
from gen_models.objectives.adversarial import AdversarialObjective, NonSaturating
from gen_models.recipes import build


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
        "loss"; the mean logits; "told_apart", the share of pairs in which the real logit is the
        higher one; what the objective measures.
    """
    apart = (real > fake).float().mean()
    means = {"real_logit": real.mean(), "fake_logit": fake.mean(), "told_apart": apart}
    loss = game.discriminator(real, fake).mean()
    return {"loss": loss, **means, **game.measures(real, fake)}
