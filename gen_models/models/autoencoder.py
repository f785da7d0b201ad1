"""Deterministic autoencoders: the generator taught by reconstruction, sampled through a prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from gen_models.capabilities import Reconstructs
from gen_models.data.ranges import Scaler
from gen_models.distributions import StandardNormal
from gen_models.distributions.fitted import FittedMixture
from gen_models.distributions.precision import widened
from gen_models.models.latent import (
    LatentVariableModel,
    NetworkFactory,
    Shape,
    check_unlearned,
)
from gen_models.models.phase import OptimizerFactory, Phase
from gen_models.models.training_images import training_images
from gen_models.modes import evaluating
from gen_models.objectives.regularisers import Encoded, JacobianPenalty, Regulariser
from gen_models.recipes import build


class Autoencoder(LatentVariableModel, Reconstructs):
    r"""$\tfrac12 |x - D(E(x))|^2 + \sum_i R_i$, summed over pixels, then a prior for the latents.

    Which autoencoder it is hangs on the regularisers and the prior: RAE (Ghosh et al., 2020) pays
    for the norm of z and for the generator's weights or gradient, and fits a mixture to the
    latents; WAE-MMD (Tolstikhin et al., 2018) pays for the distance of the latents to N(0, I).
    Nothing in it bounds log p(x).

    A prior that is fitted is fitted anew at the beginning of each validation and at the end of a
    run, to the latents of all training images and of no others. So the samples that are scored, the
    checkpoint that is saved and the mixture in it belong to the same weights. A trainer without
    `LastCheckpoint`, which asks for it at the end, may leave the prior older than the weights: call
    `conclude` then.

    Args:
        shape: (C, H, W) of the images.
        latent_dim: D.
        generator: Factory of the generator D, called with `latent_dim` and `shape`.
        trunk: Factory of the encoder E, called with `shape` and `features`.
        optimizer: Makes the optimiser of all parameters.
        regularisers: By name, under which they are logged; each weighs itself.
        prior: Factory of p(z), called with `latent_dim`.
        scaler: Maps pixels in [0, 1] to what the encoder sees; identity by default.
        ema_half_life: Images in which the generator's average forgets half of its past; None: no
            average.

    Raises:
        UsageError: If the prior has parameters to be trained.

    Example:
        >>> from functools import partial
        >>> from gen_models.networks import MLPGenerator, MLPTrunk
        >>> model = Autoencoder(
        ...     shape=(1, 8, 8),
        ...     latent_dim=2,
        ...     generator=MLPGenerator,
        ...     trunk=MLPTrunk,
        ...     optimizer=partial(torch.optim.Adam, lr=1e-3),
        ... )
        >>> model.reconstruct(torch.rand(3, 1, 8, 8)).shape
        torch.Size([3, 1, 8, 8])
    """

    fits_prior: ClassVar[bool] = True

    def __init__(
        self,
        *,
        shape: Shape,
        latent_dim: int,
        generator: NetworkFactory,
        trunk: NetworkFactory,
        optimizer: OptimizerFactory,
        regularisers: Mapping[str, Regulariser] | None = None,
        prior: NetworkFactory = StandardNormal,
        scaler: Scaler | None = None,
        ema_half_life: float | None = None,
    ) -> None:
        arguments = locals()
        super().__init__(
            shape=shape,
            latent_dim=latent_dim,
            generator=generator,
            prior=prior,
            scaler=scaler,
            ema_half_life=ema_half_life,
        )
        self.remember(arguments)
        check_unlearned(self.prior, "an autoencoder")
        self.encoder = build(trunk, "model.trunk")(shape=self.shape, features=latent_dim)
        self.regularisers: dict[str, Regulariser] = {
            name: build(recipe, f"model.regularisers.{name}")
            for name, recipe in (regularisers or {}).items()
        }
        self.optimizer = build(optimizer, "model.optimizer")
        self._fitted = -1  # iterations, when the prior was

    def phases(self) -> list[Phase]:
        """One player that moves everything."""
        moved = [p for p in self.parameters() if p.requires_grad]
        slopes = any(isinstance(cost, JacobianPenalty) for cost in self.regularisers.values())
        return [Phase("autoencoder", self.loss, moved, self.optimizer, of_slopes=slopes)]

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        """Half the squared error over pixels, and each regulariser, means over images.

        Args:
            x: (B, C, H, W), scaled images.
        """
        z = widened(self.encoder(x))
        error = (self.decode(z) - self.scaler.inverse(x)).square().flatten(1).sum(1)
        encoded = Encoded(z, self.decode, list(self.generator.parameters()), self.prior())
        terms = {"error": error.mean() / 2}
        terms |= {name: cost(encoded).mean() for name, cost in self.regularisers.items()}
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def on_validation_start(self) -> None:
        """Fit the prior to the encoder that is validated."""
        super().on_validation_start()
        if isinstance(self.prior, FittedMixture):
            self.refit()

    def conclude(self) -> bool:
        """Fit the prior, where it is fitted, to the encoder as it is; see the base class."""
        stale = isinstance(self.prior, FittedMixture) and self._fitted != self.iterations
        if stale:
            self.refit()
        return stale

    @torch.no_grad()
    def refit(self) -> None:
        """Fit the prior to the latents of all training images; not to latents that have diverged.

        Raises:
            UsageError: If the prior has more components than there are training images.
        """
        with evaluating(self):
            z = torch.cat([self.encoder(x) for x in training_images(self)]).float()
        if z.isfinite().all():
            self.prior.fit(z)
        self._fitted = self.iterations

    @torch.no_grad()
    def reconstruct(self, pixels: Tensor) -> Tensor:
        """D(E(x)), pixels (B, C, H, W) of pixels (B, C, H, W)."""
        with evaluating(self):
            return self.decode(self.encoder(self.scaler(pixels)))
