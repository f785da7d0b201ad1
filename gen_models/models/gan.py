"""The generative adversarial network: the same generator taught by a discriminator."""

from __future__ import annotations

import torch
from torch import Tensor

from gen_models.data.ranges import Scaler
from gen_models.distributions import StandardNormal
from gen_models.errors import UsageError
from gen_models.models.latent import LatentVariableModel, NetworkFactory, Shape, made_objective
from gen_models.models.phase import OptimizerFactory, Phase
from gen_models.objectives.adversarial import AdversarialObjective, NonSaturating
from gen_models.objectives.schedules import Schedule
from gen_models.recipes import build


class GAN(LatentVariableModel):
    r"""Generator and discriminator in alternating turns (Goodfellow et al., 2014).

    Args:
        shape: (C, H, W) of the images.
        latent_dim: D.
        generator: Factory of the generator, called with `latent_dim` and `shape`.
        trunk: Factory of the discriminator, called with `shape` and `features=1`.
        optimizer: Makes the optimiser of each player.
        objective: The two sides' losses; non-saturating by default.
        prior: Factory of p(z), called with `latent_dim`.
        scaler: Maps pixels in [0, 1] to what the discriminator sees; identity by default.
        n_critic: Turns of the discriminator, each on a fresh real batch, for one of the generator.
        ema_half_life: Images in which the generator's average forgets half of its past; None: no
            average.
        lr_schedule: Maps images seen to a factor of both learning rates; None: 1.

    Example:
        >>> from functools import partial
        >>> from gen_models.networks import MLPGenerator, MLPTrunk
        >>> model = GAN(
        ...     shape=(1, 8, 8),
        ...     latent_dim=2,
        ...     generator=MLPGenerator,
        ...     trunk=MLPTrunk,
        ...     optimizer=partial(torch.optim.Adam, lr=2e-4),
        ... )
        >>> [phase.name for phase in model.phases()]
        ['discriminator', 'generator']
    """

    def __init__(
        self,
        *,
        shape: Shape,
        latent_dim: int,
        generator: NetworkFactory,
        trunk: NetworkFactory,
        optimizer: OptimizerFactory,
        objective: AdversarialObjective | None = None,
        prior: NetworkFactory = StandardNormal,
        scaler: Scaler | None = None,
        n_critic: int = 1,
        ema_half_life: float | None = None,
        lr_schedule: Schedule | None = None,
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
        self.discriminator = build(trunk, "model.trunk")(shape=self.shape, features=1)
        self.objective: AdversarialObjective = made_objective(
            objective, NonSaturating(), "discriminator"
        )
        self.optimizer = build(optimizer, "model.optimizer")
        self.lr_schedule = build(lr_schedule, "model.lr_schedule")
        if n_critic < 1:
            raise UsageError(f"model.n_critic must be 1 or more, not {n_critic}")
        self.n_critic = n_critic

    def phases(self) -> list[Phase]:
        """The discriminator, then the generator."""
        players = list(self.discriminator.parameters()), list(self.generator.parameters())
        return [
            Phase("discriminator", self.discriminator_loss, players[0], self.optimizer),
            Phase("generator", self.generator_loss, players[1], self.optimizer, self.n_critic),
        ]

    def _fake(self, count: int) -> Tensor:
        """Scaled images (count, C, H, W) of the generator, as the discriminator sees them."""
        return self.scaler(self.pixels(self.generator(self.seen(self.sample_prior(count)))))

    def _logits(self, x: Tensor) -> Tensor:
        return self.discriminator(x).squeeze(1)

    def discriminator_loss(self, x: Tensor) -> dict[str, Tensor]:
        """The discriminator's loss on scaled images (B, C, H, W), and the mean logits."""
        with torch.no_grad():
            made = self._fake(len(x))
        real, fake = self._logits(x), self._logits(made)
        loss = self.objective.discriminator(real, fake).mean()
        return {"loss": loss, "real_logit": real.mean(), "fake_logit": fake.mean()}

    def generator_loss(self, x: Tensor) -> dict[str, Tensor]:
        """The generator's loss on as many fresh samples as there are images in x."""
        fake = self._logits(self._fake(len(x)))
        real = self._logits(x) if self.objective.relativistic else None
        return {"loss": self.objective.generator(real, fake).mean()}
