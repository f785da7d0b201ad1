"""The variational autoencoder: the generator taught by likelihood."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from gen_models.capabilities import BoundsLikelihood, ElboTerms, Infers, Observes, Reconstructs
from gen_models.data.ranges import Scaler
from gen_models.distributions import DiagonalGaussian, Gaussian, Prior, StandardNormal
from gen_models.models.latent import (
    LatentVariableModel,
    NetworkFactory,
    Shape,
    made_objective,
    made_schedule,
)
from gen_models.models.phase import OptimizerFactory, Phase, check_clip
from gen_models.modes import evaluating
from gen_models.objectives.elbo import Bound, Draws, NegativeELBO, draw, summary
from gen_models.objectives.schedules import Schedule
from gen_models.recipes import build


class VAE(LatentVariableModel, Reconstructs, BoundsLikelihood, Infers, Observes):
    r"""Maximises $\log p(x) - KL(q(z|x) \,\|\, p(z|x))$ over generator and encoder.

    Kingma & Welling (2014), equation 1.

    Args:
        shape: (C, H, W) of the images.
        latent_dim: D.
        generator: Factory of the generator, called with `latent_dim` and `shape`.
        trunk: Factory of the encoder's trunk, called with `shape` and `features`.
        optimizer: Makes the optimiser of all parameters.
        posterior: Factory of the head of q(z | x), called with `latent_dim`.
        likelihood: Factory of p(x | z), called with nothing.
        prior: Factory of p(z), called with `latent_dim`.
        objective: Maps draws from the posterior to the loss (B,); the negative ELBO by default.
        scaler: Maps pixels in [0, 1] to what the encoder sees; identity by default.
        clip: Largest norm of the gradient; None: no limit.
        ema_half_life: Images in which the generator's average forgets half of its past; None: no
            average.
        lr_schedule: Maps images seen to a factor of the learning rate; None: 1.
        training_images: How many there are, for objectives that hang on it.

    Raises:
        UsageError: If `clip` is not above 0, or the schedule begins or ends below it.

    Example:
        >>> from functools import partial
        >>> from gen_models.networks import MLPGenerator, MLPTrunk
        >>> model = VAE(
        ...     shape=(1, 8, 8),
        ...     latent_dim=2,
        ...     generator=MLPGenerator,
        ...     trunk=MLPTrunk,
        ...     optimizer=partial(torch.optim.Adam, lr=1e-3),
        ... )
        >>> model.sample(3).shape
        torch.Size([3, 1, 8, 8])
    """

    def __init__(
        self,
        *,
        shape: Shape,
        latent_dim: int,
        generator: NetworkFactory,
        trunk: NetworkFactory,
        optimizer: OptimizerFactory,
        posterior: NetworkFactory = DiagonalGaussian,
        likelihood: NetworkFactory = Gaussian,
        prior: NetworkFactory = StandardNormal,
        objective: Bound | None = None,
        scaler: Scaler | None = None,
        clip: float | None = None,
        ema_half_life: float | None = None,
        lr_schedule: Schedule | None = None,
        training_images: int | None = None,
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
        head = build(posterior, "model.posterior")(latent_dim=latent_dim)
        made = build(trunk, "model.trunk")(shape=self.shape, features=head.features)
        self.encoder = nn.Sequential(made, head)
        if isinstance(self.prior, Prior):
            self.prior.bind(self.encoder, self.shape, self.scaler)
        if hasattr(head, "bind"):
            head.bind(self.prior)
        self.likelihood = build(likelihood, "model.likelihood")()
        self.likelihood.bind(self.shape)
        self.objective: Bound = made_objective(objective, NegativeELBO(), "draws")
        if hasattr(self.objective, "bind"):
            self.objective.bind(self.prior)
        self.optimizer = build(optimizer, "model.optimizer")
        self.lr_schedule = made_schedule(lr_schedule)
        check_clip(clip)
        self.clip = clip
        self.training_images = training_images

    def phases(self) -> list[Phase]:
        """One player that moves everything."""
        moved = [p for p in self.parameters() if p.requires_grad]
        return [Phase("vae", self.loss, moved, self.optimizer, clip=self.clip)]

    def posterior(self, x: Tensor) -> Distribution:
        """q(z | x) of scaled images (B, C, H, W): batch shape (B,), event shape (D,)."""
        return self.encoder(x)

    def draws(self, x: Tensor, pixels: Tensor, count: int = 1) -> Draws:
        """`count` draws from the posterior of each image, (B, C, H, W) scaled and as pixels."""
        return draw(
            pixels,
            self.posterior(x),
            self.prior(),
            lambda z: self.likelihood(self.activation(z)),
            count,
            self.training_images,
        )

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        """The objective's mean, and the bound's terms apart, unweighted, in nats per image.

        Args:
            x: (B, C, H, W), scaled images.
        """
        return self.values(self.draws(x, self.scaler.inverse(x), self.objective.draws))

    def values(self, draws: Draws) -> dict[str, Tensor]:
        """What `loss` says, of draws that are there."""
        return summary(self.objective, draws, self.images_seen)

    def check(self, x: Tensor) -> None:
        """Refuse images outside the likelihood's support."""
        self.likelihood.check(self.scaler.inverse(x))

    def pixels(self, activation: Tensor) -> Tensor:
        """E[x | z], pixels (B, C, H, W), by the likelihood."""
        return self.likelihood.mean(activation)

    @torch.no_grad()
    def reconstruct(self, pixels: Tensor) -> Tensor:
        """E[x | z] at the posterior's mean, pixels (B, C, H, W) of pixels (B, C, H, W)."""
        with evaluating(self):
            return self.decode(self.posterior(self.scaler(pixels)).mean)

    @torch.no_grad()
    def elbo_terms(self, pixels: Tensor) -> ElboTerms:
        """The bound's terms of pixels (B, C, H, W), (B,) each, one draw of z an image, nats."""
        with evaluating(self):
            return self.draws(self.scaler(pixels), pixels).terms

    @torch.no_grad()
    def infer(self, pixels: Tensor) -> Distribution:
        """q(z | x) of pixels (B, C, H, W): batch shape (B,), event shape (D,)."""
        with evaluating(self):
            return self.posterior(self.scaler(pixels))

    def observe(self, z: Tensor) -> Distribution:
        """p(x | z) of latents (B, D), over pixels; differentiable in z."""
        return self.likelihood(self.activation(z))
