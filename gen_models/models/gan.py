"""The generative adversarial network: the same generator taught by a discriminator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gen_models.data.ranges import Scaler
from gen_models.distributions import StandardNormal
from gen_models.errors import UsageError
from gen_models.models.adversary import (
    Charge,
    charged,
    check_judgements,
    check_slopes,
    in_full,
    pack,
    verdict,
    whole_packs,
)
from gen_models.models.latent import (
    LatentVariableModel,
    NetworkFactory,
    Shape,
    check_unlearned,
    made_objective,
    made_schedule,
)
from gen_models.models.phase import OptimizerFactory, Phase
from gen_models.modes import unmoved
from gen_models.objectives.adversarial import AdversarialObjective, NonSaturating
from gen_models.objectives.penalties import Penalty
from gen_models.objectives.schedules import Schedule, at
from gen_models.recipes import build


class GAN(LatentVariableModel):
    r"""Generator and discriminator in alternating turns (Goodfellow et al., 2014).

    Args:
        shape: (C, H, W) of the images.
        latent_dim: D.
        generator: Factory of the generator, called with `latent_dim` and `shape`.
        trunk: Factory of the discriminator, called with `shape` and `features=1`.
        optimizer: Makes the optimiser of each player.
        discriminator_optimizer: Makes the discriminator's, where it is another.
        objective: The two sides' losses; non-saturating by default.
        penalties: Of the discriminator's slope, by name, under which they are logged.
        prior: Factory of p(z), called with `latent_dim`.
        scaler: Maps pixels in [0, 1] to what the discriminator sees; identity by default.
        augment: Maps scaled images (B, C, H, W) to such, differentiably: all that the discriminator
            is shown, real and generated, in both players' turns; None: nothing.
        packing: Images that the discriminator judges as one (PacGAN: Lin et al., 2018).
        weight_clip: Bound of each of the discriminator's parameters, kept after each of its turns
            (Arjovsky et al., 2017); None: none.
        n_critic: Turns of the discriminator, each on a fresh real batch, for one of the generator.
        ema_half_life: Images in which the generator's average forgets half of its past; None: no
            average.
        lr_schedule: Maps images seen to a factor of both learning rates; None: 1.

    Raises:
        UsageError: If `n_critic` or `packing` is below 1, or `weight_clip` not above 0; if the
            prior has parameters to be trained, or the schedule begins or ends below 0; if penalties
            meet batch norm in the discriminator.

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

    labelled: ClassVar[bool] = False
    remedy: ClassVar[str] = (
        "lower model.optimizer.lr, penalise the discriminator's slope (model/penalties=r1), or let "
        "it judge packs (model.packing=2)"
    )

    def __init__(
        self,
        *,
        shape: Shape,
        latent_dim: int,
        generator: NetworkFactory,
        trunk: NetworkFactory,
        optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory | None = None,
        objective: AdversarialObjective | None = None,
        penalties: Mapping[str, Penalty] | None = None,
        prior: NetworkFactory = StandardNormal,
        scaler: Scaler | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
        packing: int = 1,
        weight_clip: float | None = None,
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
        self.remember({**arguments, "penalties": penalties or None})
        check_unlearned(self.prior, "a GAN")
        for name, count in (("n_critic", n_critic), ("packing", packing)):
            if not isinstance(count, int) or count < 1:
                raise UsageError(f"model.{name} must be a whole number, 1 or more, not {count}")
        if weight_clip is not None and not weight_clip > 0:
            raise UsageError(f"model.weight_clip must be above 0, or null, not {weight_clip}")
        self.n_critic, self.packing, self.weight_clip = n_critic, packing, weight_clip
        channels, *size = self.shape
        packed = (packing * channels, *size)
        self.discriminator: nn.Module = build(trunk, "model.trunk")(shape=packed, features=1)
        self.objective: AdversarialObjective = made_objective(
            objective, NonSaturating(), "discriminator"
        )
        check_judgements(self.objective, self.discriminator)
        self.penalties: dict[str, Penalty] = {
            name: build(recipe, f"model.penalties.{name}")
            for name, recipe in (penalties or {}).items()
        }
        check_slopes(self.penalties, self.discriminator)
        self.augment = build(augment, "model.augment") or nn.Identity()
        self.optimizer = build(optimizer, "model.optimizer")
        own = build(discriminator_optimizer, "model.discriminator_optimizer")
        self.discriminator_optimizer = own or self.optimizer
        self.lr_schedule = made_schedule(lr_schedule)

    def phases(self) -> list[Phase]:
        """The discriminator, then the generator."""
        return [
            Phase(
                "discriminator",
                self.discriminator_loss,
                list(self.discriminator.parameters()),
                self.discriminator_optimizer,
                labelled=self.labelled,
                of_slopes=bool(self.penalties),
                after=None if self.weight_clip is None else self.clip_weights,
            ),
            Phase(
                "generator",
                self.generator_loss,
                list(self.generator.parameters()),
                self.optimizer,
                every=self.n_critic,
                labelled=self.labelled,
            ),
        ]

    def check(self, x: Tensor) -> None:
        """Refuse packs larger than a batch of training, in which images would meet themselves."""
        if self._trainer is not None and self.trainer.training and self.packing > len(x):
            raise UsageError(
                f"model.packing={self.packing} is more than the {len(x)} images that a batch has "
                "on each device: lower it, or give a larger data.batch_size"
            )

    def real(self, x: Tensor) -> Tensor:
        """What the discriminator is shown of scaled images (B, C, H, W): themselves."""
        return x

    def fake(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What it is shown of the generator: as many scaled samples as there are images in x."""
        return self.scaler(self.pixels(self.generator(self.seen(self.sample_prior(len(x))))))

    def judge(self, shown: Tensor) -> Tensor:
        """All that the discriminator says of what it is shown: (B / packing, F)."""
        return in_full(self.discriminator(pack(self.augment(shown), self.packing)))

    def logits(self, said: Tensor, labels: Tensor | None = None) -> Tensor:
        """How real that is, (B / packing,), of all that was said, (B / packing, F)."""
        return said[:, 0]

    def further(
        self, fake: Tensor, real: Tensor | None, labels: Tensor | None
    ) -> dict[str, Charge]:
        """What a player pays beside the game, by name: nothing here.

        Args:
            fake: (B / packing, F), what is said of generated images.
            real: The same of real ones, in the discriminator's turn; None in the generator's.
            labels: (B,), for families that see them.
        """
        return {}

    def discriminator_loss(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """The discriminator's loss and its parts.

        Args:
            x: (B, C, H, W), scaled images.
            labels: (B,), for families that see them.

        Returns:
            What `verdict` says, the penalties paid for; each of them, unweighted.
        """
        x = whole_packs(x, self.packing)
        with torch.no_grad():
            shown = self.real(x), self.fake(x, labels)

        def critic(part: Tensor) -> Tensor:
            return self.logits(self.judge(part), labels)

        with parametrize.cached():
            # First, so that the cached weights are theirs: in float32, and differentiable.
            charges = {
                name: Charge(at(cost.weight, self.images_seen), cost(critic, *shown).mean())
                for name, cost in self.penalties.items()
            }
            real, fake = (self.judge(each) for each in shown)
        charges |= self.further(fake, real, labels)
        logits = self.logits(real, labels), self.logits(fake, labels)
        return charged(verdict(self.objective, *logits), charges)

    def generator_loss(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """The generator's loss on as many fresh samples as there are images in x, "loss".

        Args:
            x: (B, C, H, W), scaled images.
            labels: (B,), for families that see them.
        """
        x = whole_packs(x, self.packing)
        with unmoved(self.discriminator), parametrize.cached():
            fake = self.judge(self.fake(x, labels))
            relativistic = self.objective.relativistic
            real = self.logits(self.judge(self.real(x)), labels) if relativistic else None
        loss = self.objective.generator(real, self.logits(fake, labels)).mean()
        return charged({"loss": loss}, self.further(fake, None, labels))

    @torch.no_grad()
    def clip_weights(self) -> None:
        """Hold each of the discriminator's parameters to [-weight_clip, weight_clip]."""
        torch._foreach_clamp_min_(list(self.discriminator.parameters()), -(self.weight_clip or 0.0))
        torch._foreach_clamp_max_(list(self.discriminator.parameters()), self.weight_clip or 0.0)
