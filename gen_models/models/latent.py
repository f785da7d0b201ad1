"""What all families share: a prior, a generator, and images made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gen_models.capabilities import Decodes, Samples
from gen_models.data.ranges import Scaler
from gen_models.distributions import FittedMixture, StandardNormal, pixel_mean
from gen_models.errors import UsageError
from gen_models.models.average import ExponentialAverage
from gen_models.models.base import GenerativeModule
from gen_models.modes import evaluating
from gen_models.objectives.schedules import Schedule, check_not_negative
from gen_models.recipes import build

Shape = tuple[int, int, int]
NetworkFactory = Callable[..., nn.Module]


class LatentVariableModel(GenerativeModule, Samples, Decodes):
    r"""$p(x) = \int p(z)\,p(x \mid z)\,dz$: a prior and a generator, taught differently.

    Args:
        shape: (C, H, W) of the images.
        latent_dim: D, the number of latent variables, >= 1.
        generator: Factory of the generator, called with `shape` and, as `latent_dim`, the latents
            that it sees: the prior's leading `decoded` ones where it has levels, else all.
        prior: Factory of the prior, called with `latent_dim`.
        scaler: Maps pixels in [0, 1] to what the networks see; identity by default.
        ema_half_life: Images in which the generator's average forgets half of its past; None: no
            average. Where there is one, it is the generator that is evaluated.

    Attributes:
        fits_prior: Whether the family fits a prior to its latents.

    Raises:
        UsageError: If `latent_dim` is below 1; if the prior is one to be fitted, and nothing fits.
    """

    fits_prior: ClassVar[bool] = False

    def __init__(
        self,
        *,
        shape: Shape,
        latent_dim: int,
        generator: NetworkFactory,
        prior: NetworkFactory = StandardNormal,
        scaler: Scaler | None = None,
        ema_half_life: float | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(latent_dim, int) or latent_dim < 1:
            raise UsageError(f"model.latent_dim must be 1 or more, not {latent_dim}")
        self.shape = tuple(shape)
        self.latent_dim = latent_dim
        self.scaler = Scaler.unit(shape[0]) if scaler is None else build(scaler, "model.scaler")
        self.prior = build(prior, "model.prior")(latent_dim=latent_dim)
        if not self.fits_prior and any(isinstance(p, FittedMixture) for p in self.prior.modules()):
            raise UsageError(
                "model.prior=FittedMixture is fitted to the latents of an autoencoder alone "
                "(model=rae, rae_gp): choose another model/prior"
            )
        self.decoded: int = getattr(self.prior, "decoded", latent_dim)
        make = build(generator, "model.generator")
        self.generator = make(latent_dim=self.decoded, shape=self.shape)
        self.average = (
            None if ema_half_life is None else ExponentialAverage(self.generator, ema_half_life)
        )

    def after_iteration(self, images: int) -> None:
        """Let the average follow the generator."""
        if self.average is not None:
            self.average.update(self.generator, images)

    def activation(self, z: Tensor) -> Tensor:
        """Pre-activations (B, C, H, W); by the averaged generator in evaluation mode."""
        if self.average is not None and not self.training:
            return self.average(self.seen(z))
        return self.generator(self.seen(z))

    def seen(self, z: Tensor) -> Tensor:
        """What the generator sees of latents (..., D): all, or the bottom one of two levels."""
        return z[..., : self.decoded]

    def pixels(self, activation: Tensor) -> Tensor:
        """Pixels (B, C, H, W) in [0, 1] of the generator's pre-activations."""
        return pixel_mean(activation)

    def decode(self, z: Tensor) -> Tensor:
        """Pixels of latents, differentiable in z; by the averaged generator in evaluation mode.

        Args:
            z: (B, D).

        Returns:
            (B, C, H, W), in [0, 1].
        """
        return self.pixels(self.activation(z))

    def sample_prior(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents z ~ p(z): (count, D)."""
        return self.prior.sample(count, generator)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw images, always in evaluation mode, so that no batch statistic moves.

        Args:
            count: How many.
            generator: Where the randomness comes from; torch's global state by default.

        Returns:
            (count, C, H, W), pixels in [0, 1]: decoder means E[x | z] at z ~ p(z).
        """
        with evaluating(self):
            latents = self.sample_prior(count, generator).split(500)
            return torch.cat([self.decode(z) for z in latents]).contiguous()


def check_unlearned(prior: nn.Module, family: str) -> None:
    """Refuse a prior with parameters, where no loss of the family reaches them.

    Raises:
        UsageError: Naming the prior.
    """
    if any(p.requires_grad for p in prior.parameters()):
        own = getattr(prior, "latents", prior)  # beside a class
        raise UsageError(
            f"model.prior={type(own).__name__} has parameters, which no loss of {family} teaches: "
            "set model/prior=standard_normal"
        )


def made_objective(objective: Any, default: Any, method: str) -> Any:
    """The objective, built; the default where there is none.

    Raises:
        UsageError: If it has no such method: it is another family's.
    """
    made = default if objective is None else build(objective, "model.objective")
    if not hasattr(made, method):
        raise UsageError(
            f"model.objective={type(made).__name__} is another family's; this one takes those that "
            f"{type(default).__name__} is one of (see docs/models.md)"
        )
    return made


def made_schedule(schedule: Any) -> Schedule | None:
    """The schedule of the learning rate, built.

    Raises:
        UsageError: If it begins or ends below 0.
    """
    made: Schedule | None = build(schedule, "model.lr_schedule")
    if made is not None:
        check_not_negative("model.lr_schedule", made)
    return made
