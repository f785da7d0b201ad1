"""The factor VAE: independent latents, by a discriminator that estimates their correlation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from gen_models.errors import UsageError
from gen_models.models.adversary import in_full
from gen_models.models.latent import NetworkFactory
from gen_models.models.phase import OptimizerFactory, Phase, sparing
from gen_models.models.vae import VAE
from gen_models.modes import unmoved
from gen_models.objectives.adversarial import NonSaturating
from gen_models.objectives.schedules import check_not_negative
from gen_models.recipes import build


def permuted(z: Tensor) -> Tensor:
    r"""Shuffle each latent over the batch by itself: draws of $\prod_j q(z_j)$ from those of q(z).

    Kim & Mnih (2018), algorithm 1.

    Args:
        z: (B, D).

    Returns:
        (B, D): in each column the same values, in an order of its own.
    """
    return z.gather(0, torch.rand_like(z).argsort(0))


class FactorVAE(VAE):
    r"""Minimises the VAE's objective $+\;\gamma\,KL(q(z) \,\|\, \prod_j q(z_j))$.

    Kim & Mnih (2018), equation 2. A discriminator tells z ~ q(z) from permuted z; at its optimum
    its logit is $\log q(z) / \prod_j q(z_j)$, whose mean is the total correlation. It learns from
    the batch that the VAE has just learned from, where algorithm 2 there takes a second one.

    Args:
        discriminator: Factory of the discriminator, a trunk called with z as an image of D channels
            and one pixel: `shape=(D, 1, 1)` and `features=1`.
        discriminator_optimizer: Makes the discriminator's optimiser.
        gamma: Weight of the total correlation, >= 0.
        **options: Arguments of `VAE`.

    Raises:
        UsageError: If gamma is negative; if the objective's gradient is doubly reparameterised,
            which would weigh the correlation's gradient by the importance of each draw.
    """

    def __init__(
        self,
        *,
        discriminator: NetworkFactory,
        discriminator_optimizer: OptimizerFactory,
        gamma: float = 6.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.remember(
            {
                "discriminator": discriminator,
                "discriminator_optimizer": discriminator_optimizer,
                "gamma": gamma,
            }
        )
        check_not_negative("model.gamma", gamma)
        if getattr(self.objective, "doubly_reparameterised", False):
            raise UsageError(
                "the doubly reparameterised gradient would weigh down the total correlation of "
                "factor_vae: set model.objective.doubly_reparameterised=false"
            )
        self.gamma = gamma
        make = build(discriminator, "model.discriminator")
        self.discriminator = make(shape=(self.latent_dim, 1, 1), features=1)
        self.discriminator_optimizer = build(
            discriminator_optimizer, "model.discriminator_optimizer"
        )

    def phases(self) -> list[Phase]:
        """The VAE, then the discriminator, each with its own parameters."""
        own = list(self.discriminator.parameters())
        (teacher,) = super().phases()
        return [
            sparing(teacher, own),
            Phase("discriminator", self.discriminator_loss, own, self.discriminator_optimizer),
        ]

    def log_ratio(self, z: Tensor) -> Tensor:
        """The discriminator's logit of latents (B, D): log q(z) - sum_j log q(z_j), (B,), nats."""
        return in_full(self.discriminator(z[..., None, None]).squeeze(1))

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        """The VAE's values, and the total correlation, which is added to the loss; nats per image.

        Args:
            x: (B, C, H, W), scaled images.
        """
        draws = self.draws(x, self.scaler.inverse(x), self.objective.draws)
        with unmoved(self.discriminator), parametrize.cached():
            correlation = self.log_ratio(draws.z.flatten(0, 1)).mean()
        values = self.values(draws)
        return {
            **values,
            "loss": values["loss"] + self.gamma * correlation,
            "total_correlation_nats": correlation,
        }

    def discriminator_loss(self, x: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of telling latents of scaled images (B, C, H, W) from permuted ones."""
        with torch.no_grad():
            z = self.posterior(x).sample()
        with parametrize.cached():
            joint, product = self.log_ratio(z), self.log_ratio(permuted(z))
        loss = NonSaturating().discriminator(joint, product).mean()
        return {"loss": loss, "joint_logit": joint.mean(), "product_logit": product.mean()}
