"""The VAE-GAN: a VAE whose generator has to convince a discriminator too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gen_models.errors import UsageError
from gen_models.models.adversary import check_judgements, in_full, made_game, verdict
from gen_models.models.latent import NetworkFactory
from gen_models.models.phase import OptimizerFactory, Phase, sparing
from gen_models.models.vae import VAE
from gen_models.modes import unmoved
from gen_models.objectives.adversarial import AdversarialObjective
from gen_models.objectives.elbo import Draws, logged
from gen_models.objectives.schedules import Schedule, at, check_not_negative
from gen_models.recipes import build


class VAEGAN(VAE):
    r"""A VAE's objective beside a GAN's, with features of the discriminator as a likelihood.

    Larsen et al. (2016), algorithm 1. In the VAE's objective the place of $\log p(x|z)$ is taken by

    $$\lambda_x \log p(x|z) - \tfrac{\lambda_f}2 |f(x) - f(G(z))|^2,$$

    f the discriminator's last hidden features, and $\lambda_a$ times the generator's side of the
    game is added. The paper has $\lambda_x = 0$, $\lambda_f = 1$ and $\lambda_a = 1 / \gamma$. The
    encoder gets no gradient of the game, and the discriminator none of the features. With
    $\lambda_x = 1$ and the other weights 0 it is the VAE, gradient for gradient.

    Whatever is trained, `elbo_terms` bounds log p(x) of pixels, and is logged unweighted.

    Args:
        discriminator: Factory of the trunk that finds f, called with `shape` and `features`; the
            logit is a linear reading of f.
        discriminator_optimizer: Makes the discriminator's optimiser; by default the VAE's.
        adversarial: The game between generator and discriminator; non-saturating by default.
        adversarial_weight: $\lambda_a$, >= 0: a number or a schedule.
        feature_weight: $\lambda_f$, >= 0, nats per squared feature: a number or a schedule.
        pixel_weight: $\lambda_x$, >= 0: a number or a schedule.
        reconstructions: Whether the discriminator is shown reconstructions too. It then faces the
            even mixture of these and of samples; the paper adds them, so that they weigh twice.
        features: F, how many features f has.
        **options: Arguments of `VAE`.

    Raises:
        UsageError: If a weight is negative, or `features` below 1; if no pixel teaches the
            likelihood its parameters.
    """

    remedy: ClassVar[str] = "lower model.optimizer.lr or model.discriminator_optimizer.lr"

    def __init__(
        self,
        *,
        discriminator: NetworkFactory,
        discriminator_optimizer: OptimizerFactory | None = None,
        adversarial: AdversarialObjective | None = None,
        adversarial_weight: float | Schedule = 1.0,
        feature_weight: float | Schedule = 1.0,
        pixel_weight: float | Schedule = 1.0,
        reconstructions: bool = True,
        features: int = 256,
        **options: Any,
    ) -> None:
        arguments = dict(locals())
        del arguments["options"]
        super().__init__(**options)
        self.remember(arguments)
        weights = {"pixel": pixel_weight, "feature": feature_weight}
        self.weights: dict[str, float | Schedule] = {
            name: build(weight, f"model.{name}_weight")
            for name, weight in {**weights, "adversarial": adversarial_weight}.items()
        }
        for name, weight in self.weights.items():
            check_not_negative(f"model.{name}_weight", weight)
        taught = [p for p in self.likelihood.parameters() if p.requires_grad]
        if taught and self.weights["pixel"] == 0:
            raise UsageError(
                f"model.likelihood={type(self.likelihood).__name__} learns its scale from pixels, "
                "which model.pixel_weight=0 leaves out: choose a fixed one, or a weight above 0"
            )
        if features < 1:
            raise UsageError(f"model.features must be 1 or more, not {features}")
        trunk = build(discriminator, "model.discriminator")(shape=self.shape, features=features)
        self.discriminator = nn.Sequential(trunk, nn.LeakyReLU(0.2), nn.Linear(features, 1))
        own = build(discriminator_optimizer, "model.discriminator_optimizer")
        self.discriminator_optimizer = own or self.optimizer
        self.adversarial = made_game(adversarial)
        check_judgements(self.adversarial, self.discriminator)
        self.reconstructions = reconstructions

    def phases(self) -> list[Phase]:
        """The VAE, then the discriminator, each with its own parameters."""
        own = list(self.discriminator.parameters())
        (teacher,) = super().phases()
        return [
            sparing(teacher, own),
            Phase("discriminator", self.discriminator_loss, own, self.discriminator_optimizer),
        ]

    def weight(self, name: str) -> float:
        """What the term weighs now: "pixel", "feature" or "adversarial"."""
        return at(self.weights[name], self.images_seen)

    def hidden(self, x: Tensor) -> Tensor:
        """f(x), the discriminator's features of scaled images (B, C, H, W): (B, F)."""
        return in_full(self.discriminator[:-1](x))

    def logits(self, x: Tensor) -> Tensor:
        """How real it holds scaled images (B, C, H, W) to be: (B,)."""
        return in_full(self.discriminator(x).squeeze(1))

    def fakes(self, count: int, z: Tensor | None) -> Tensor:
        """What was made: `count` samples, and behind them what latents z (B, D) decode to, scaled.

        The generator alone gets gradients. Kinds are decoded apart, so that they share no batch
        statistics.
        """
        kinds = [self.sample_prior(count), *([] if z is None else [z])]
        return torch.cat([self.scaler(self.decode(kind.detach())) for kind in kinds])

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        """The VAE's values; "feature_error" and "adversarial", unweighted, unless they weigh 0.

        The VAE's noise is drawn first. A term of weight 0 draws none and costs nothing.

        Args:
            x: (B, C, H, W), scaled images.
        """
        draws = learned = self.draws(x, self.scaler.inverse(x), self.objective.draws)
        values = logged(draws)
        with unmoved(self.discriminator), parametrize.cached():
            if self.weight("feature") or self.weight("pixel") != 1:
                learned, values["feature_error"] = self.perceived(x, draws)
            # Once: each call of a doubly reparameterised objective weighs the gradient of z.
            loss = self.objective(learned, self.images_seen).mean()
            if self.weight("adversarial"):
                values["adversarial"] = self.deceived(x, draws.z[0])
                loss = loss + self.weight("adversarial") * values["adversarial"]
        return {"loss": loss, **values}

    def perceived(self, x: Tensor, draws: Draws) -> tuple[Draws, Tensor]:
        """The draws with pixels and features as their likelihood, and the mean feature error."""
        made = self.hidden(self.scaler(self.decode(draws.z.flatten(0, 1))))
        known = self.hidden(x).detach()
        error = (made.unflatten(0, draws.z.shape[:2]) - known).square().sum(-1) / 2
        likelihood = self.weight("pixel") * draws.log_likelihood - self.weight("feature") * error
        return replace(draws, log_likelihood=likelihood), error.mean()

    def deceived(self, x: Tensor, z: Tensor) -> Tensor:
        """The generator's side of the game, (), on samples, and on what latents z decode to."""
        fake = self.logits(self.fakes(len(x), z if self.reconstructions else None))
        real = self.paired(x, fake) if self.adversarial.relativistic else None
        return self.adversarial.generator(real, fake).mean()

    def paired(self, x: Tensor, fake: Tensor) -> Tensor:
        """Logits of scaled images, again for each kind of what was made: as many as `fake`."""
        return self.logits(x).repeat(len(fake) // len(x))

    def discriminator_loss(self, x: Tensor) -> dict[str, Tensor]:
        """The discriminator's values; see `verdict`.

        Args:
            x: (B, C, H, W), scaled images.
        """
        with torch.no_grad():
            made = self.fakes(len(x), self.posterior(x).sample() if self.reconstructions else None)
        with parametrize.cached():
            fake = self.logits(made)
            return verdict(self.adversarial, self.paired(x, fake), fake)
