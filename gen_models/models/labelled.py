"""What models of images of a class share: latents (z, one-hot y) in one vector."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gen_models.capabilities import SamplesClasses
from gen_models.distributions.labelled import LabelledPrior
from gen_models.errors import UsageError
from gen_models.models.latent import LatentVariableModel, NetworkFactory, Shape
from gen_models.modes import evaluating
from gen_models.recipes import build


class ClassConditional(LatentVariableModel, SamplesClasses):
    r"""$p(x) = \sum_y p(y) \int p(z)\,p(x|z,y)\,dz$, the prior a `LabelledPrior`.

    Attributes:
        num_classes: K; one-hot y is the last K of the latents.
        prior: Over (z, one-hot y); its shares are those of the training images once they are known.
    """

    num_classes: int
    prior: LabelledPrior

    def on_train_start(self) -> None:
        """Learn the classes' shares, where a data module tells all training labels."""
        super().on_train_start()
        data = getattr(self.trainer, "datamodule", None)
        labels = getattr(getattr(data, "train", None), "labels", None)
        if labels is not None:
            self.prior.count(labels.to(self.device))

    def seen(self, z: Tensor) -> Tensor:
        """What the generator sees of latents (..., D + K): z's bottom level, and y."""
        bottom = self.decoded - self.num_classes
        return torch.cat([z[..., :bottom], z[..., -self.num_classes :]], dim=-1)

    def latents(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw z ~ p(z) beside the one-hot labels (B,): (B, D + K)."""
        z = self.sample_prior(len(labels), generator)[:, : -self.num_classes]
        return torch.cat([z, one_hot(labels, self.num_classes).to(z)], dim=1)

    def sample(
        self,
        count: int,
        generator: torch.Generator | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Draw images; see `LatentVariableModel`.

        Args:
            count: How many.
            generator: Where the randomness comes from; torch's global state by default.
            labels: (count,), the class of each; by default drawn with the training shares.
        """
        if labels is None:
            return super().sample(count, generator)
        assert len(labels) == count
        return self.sample_classes(labels, generator)

    @torch.no_grad()
    def sample_classes(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw an image of each class asked for, in evaluation mode.

        Args:
            labels: (B,), int64.
            generator: Where the randomness comes from; torch's global state by default.

        Returns:
            (B, C, H, W), pixels in [0, 1].

        Raises:
            UsageError: If there is no such class.
        """
        if len(labels) and not 0 <= labels.min() <= labels.max() < self.num_classes:
            raise UsageError(f"labels must be classes 0 to {self.num_classes - 1}")
        with evaluating(self):
            latents = self.latents(labels.to(self.prior.shares.device), generator)
            return torch.cat([self.decode(z) for z in latents.split(500)])


def with_classes(
    *, classes: int, latent_dim: int, generator: NetworkFactory, prior: NetworkFactory
) -> dict[str, Any]:
    """Arguments of a `LatentVariableModel` over (z, one-hot class) in the place of those over z.

    Args:
        classes: K.
        latent_dim: D of z.
        generator: Factory of the generator, told `num_classes` = K where it has such an argument.
        prior: Factory of p(z).
    """
    return {
        "latent_dim": latent_dim + classes,
        "generator": partial(told, generator=generator, num_classes=classes),
        "prior": partial(LabelledPrior, classes=classes, latents=build(prior, "model.prior")),
    }


def told(
    *, generator: NetworkFactory, num_classes: int, latent_dim: int, shape: Shape
) -> nn.Module:
    """The generator of latents (z, one-hot class), told how many classes there are if it asks."""
    make = build(generator, "model.generator")
    asks = "num_classes" in inspect.signature(make).parameters
    network: nn.Module = make(
        latent_dim=latent_dim, shape=shape, **({"num_classes": num_classes} if asks else {})
    )
    return network
