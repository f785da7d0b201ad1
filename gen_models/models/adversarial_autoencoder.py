"""Autoencoders whose latents are held to the prior by a discriminator."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from gen_models.distributions.fitted import FittedMixture
from gen_models.errors import UsageError
from gen_models.models.adversary import check_judgements, in_full, made_game, verdict
from gen_models.models.autoencoder import Autoencoder
from gen_models.models.latent import NetworkFactory
from gen_models.models.phase import OptimizerFactory, Phase, sparing
from gen_models.modes import unmoved
from gen_models.objectives.adversarial import AdversarialObjective
from gen_models.objectives.regularisers import Encoded
from gen_models.objectives.schedules import Schedule, at, check_not_negative
from gen_models.recipes import build


class AdversarialAutoencoder(Autoencoder):
    r"""An autoencoder in a game over latents: a discriminator tells z ~ p(z) from E(x).

    At its optimum its logit is $\log p(z) / q(z)$, q(z) the law of E(x); the encoder plays the
    generator. Jointly, $\tfrac12 |x - G(E(x))|^2 + \lambda\,g(E(x))$ is minimised in one turn, g
    the generator's side of the game, behind the discriminator's turn: WAE-GAN (Tolstikhin et al.,
    2018, algorithm 1). Else the encoder plays in a turn of its own, behind the reconstruction's and
    the discriminator's: AAE (Makhzani et al., 2015, section 2).

    Args:
        discriminator: Factory of the discriminator, a trunk called with z as an image of D channels
            and one pixel: `shape=(D, 1, 1)` and `features=1`.
        discriminator_optimizer: Makes the optimisers of the game: the discriminator's, and that of
            the encoder's own turn.
        adversarial: The game's two losses; non-saturating by default.
        adversarial_weight: lambda, >= 0: a number or a schedule.
        joint: Whether the encoder reconstructs and plays in one turn.
        **options: Arguments of `Autoencoder`.

    Raises:
        UsageError: If the weight is negative; if the prior is fitted to the latents.
    """

    remedy: ClassVar[str] = "lower model.optimizer.lr or model.discriminator_optimizer.lr"

    def __init__(
        self,
        *,
        discriminator: NetworkFactory,
        discriminator_optimizer: OptimizerFactory,
        adversarial: AdversarialObjective | None = None,
        adversarial_weight: float | Schedule = 1.0,
        joint: bool = True,
        **options: Any,
    ) -> None:
        arguments = dict(locals())
        del arguments["options"]
        super().__init__(**options)
        self.remember(arguments)
        if isinstance(self.prior, FittedMixture):
            raise UsageError(
                "model.prior=FittedMixture follows the latents, which the discriminator holds to "
                "the prior: choose model/prior=standard_normal"
            )
        self.weight = build(adversarial_weight, "model.adversarial_weight")
        check_not_negative("model.adversarial_weight", self.weight)
        make = build(discriminator, "model.discriminator")
        self.discriminator = make(shape=(self.latent_dim, 1, 1), features=1)
        self.discriminator_optimizer = build(
            discriminator_optimizer, "model.discriminator_optimizer"
        )
        self.adversarial = made_game(adversarial)
        check_judgements(self.adversarial, self.discriminator)
        self.joint = joint
        if joint:
            self.regularisers["adversarial"] = self.cost

    def phases(self) -> list[Phase]:
        """Jointly: discriminator, autoencoder. Else: autoencoder, discriminator, encoder."""
        own = list(self.discriminator.parameters())
        (teacher,) = super().phases()
        teacher = sparing(teacher, own)
        optimizer = self.discriminator_optimizer
        discriminator = Phase("discriminator", self.discriminator_loss, own, optimizer)
        if self.joint:
            return [discriminator, teacher]
        encoder = Phase("encoder", self.encoder_loss, list(self.encoder.parameters()), optimizer)
        return [teacher, discriminator, encoder]

    def logits(self, z: Tensor) -> Tensor:
        """How much latents (B, D) look like the prior's to the discriminator: (B,)."""
        return in_full(self.discriminator(z[..., None, None]).squeeze(1))

    def deceived(self, z: Tensor) -> Tensor:
        """The encoder's side of the game on its latents (B, D), weighted: (B,)."""
        with unmoved(self.discriminator), parametrize.cached():
            fake = self.logits(z)
            prior = self.sample_prior(len(fake)) if self.adversarial.relativistic else None
            real = None if prior is None else self.logits(prior)
        return at(self.weight, self.images_seen) * self.adversarial.generator(real, fake)

    def cost(self, encoded: Encoded) -> Tensor:
        """The same as a regulariser."""
        return self.deceived(encoded.z)

    def encoder_loss(self, x: Tensor) -> dict[str, Tensor]:
        """The encoder's side of the game alone, "loss", of scaled images (B, C, H, W)."""
        return {"loss": self.deceived(self.encoder(x)).mean()}

    def discriminator_loss(self, x: Tensor) -> dict[str, Tensor]:
        """The discriminator's values on scaled images (B, C, H, W); see `verdict`."""
        with torch.no_grad():
            made, drawn = self.encoder(x), self.sample_prior(len(x))
        with parametrize.cached():
            return verdict(self.adversarial, self.logits(drawn), self.logits(made))
