"""InfoGAN: a GAN whose images have to tell some of their latents."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from torch import Tensor

from gen_models.distributions import DiagonalGaussian, StandardNormal
from gen_models.errors import UsageError
from gen_models.models.adversary import Charge, widened
from gen_models.models.gan import GAN
from gen_models.models.labelled import with_classes
from gen_models.models.latent import NetworkFactory
from gen_models.objectives.schedules import check_not_negative

NORMAL_ENTROPY = 0.5 * math.log(2 * math.pi * math.e)
"""Of N(0, 1), nats."""


class InfoGAN(GAN):
    r"""The game, and $I(c; G(z, c)) \ge L_I = E \log q(c \mid G(z, c)) + H(c)$ of codes c.

    Chen et al. (2016), equations 5 and 6. The codes are a category of equal shares, one-hot behind
    the normal latents, and the first of these latents. $q$ is read off the discriminator: its
    further outputs are the category's logits, and mean and deviation of each continuous code. They
    are the discriminator's parameters, and both players maximise $L_I$, each over its own.

    Args:
        latent_dim: D normal latents, the continuous codes among them; the generator sees D plus
            the values of the category.
        generator: Factory of the generator, called with `latent_dim`, `shape` and, where it has
            such an argument, `num_classes` = codes.
        trunk: Factory of the discriminator, called with `shape` and `features` = 1 + codes + 2
            for each continuous code.
        codes: K values of the category, >= 1; 1 says nothing.
        continuous: How many of the normal latents are codes too, 0 to D.
        weight: Of the information on the category, >= 0.
        continuous_weight: Of the information on the continuous codes, >= 0. It has no upper bound,
            where the category's is log K.
        prior: Factory of p(z): `StandardNormal`, whose entropy is known.
        **options: Further arguments of `GAN`.

    Raises:
        UsageError: If a number is out of its range; if images are packed, which have codes of their
            own; if there is another prior.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        generator: NetworkFactory,
        trunk: NetworkFactory,
        codes: int = 10,
        continuous: int = 0,
        weight: float = 1.0,
        continuous_weight: float = 0.1,
        prior: NetworkFactory = StandardNormal,
        **options: Any,
    ) -> None:
        given = {
            "latent_dim": latent_dim,
            "generator": generator,
            "trunk": trunk,
            "codes": codes,
            "continuous": continuous,
            "weight": weight,
            "continuous_weight": continuous_weight,
            "prior": prior,
        }
        check_codes(codes, continuous, latent_dim)
        check_not_negative("model.weight", weight)
        check_not_negative("model.continuous_weight", continuous_weight)
        head = DiagonalGaussian(continuous)
        super().__init__(
            trunk=partial(widened, trunk=trunk, extra=codes + head.features),
            **with_classes(classes=codes, latent_dim=latent_dim, generator=generator, prior=prior),
            **options,
        )
        self.remember(given)
        if self.packing > 1:
            raise UsageError("model.packing must be 1: images judged as one differ in their codes")
        if not isinstance(self.prior.latents, StandardNormal):
            raise UsageError("model.prior must be standard_normal: of others H(c) is not known")
        self.codes, self.continuous, self.head = codes, continuous, head
        self.weights = {"category_nats": weight, "continuous_nats": continuous_weight}

    def fake(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the discriminator is shown of the generator: a scaled image of each latent.

        Args:
            x: (B, C, H, W), scaled images.
            labels: (B, D + K): the labels of generated images here are the latents they are made
                of.
        """
        assert labels is not None
        return self.scaler(self.pixels(self.generator(self.seen(labels))))

    def information(self, said: Tensor, z: Tensor) -> dict[str, Tensor]:
        r"""$\log q(c|x) + H(c)$, whose mean is the bound on I(c; x), by kind of code.

        Args:
            said: (B, 1 + K + 2 continuous), the discriminator's outputs on generated images.
            z: (B, D + K), the latents they are made of.

        Returns:
            (B,) each, nats: 0 where q says nothing, and at most log K for the category.
        """
        logits, continuous = said[:, 1 : 1 + self.codes], said[:, 1 + self.codes :]
        category = (logits.log_softmax(1) * z[:, -self.codes :]).sum(1) + math.log(self.codes)
        density = self.head(continuous).log_prob(z[:, : self.continuous])
        return {
            "category_nats": category,
            "continuous_nats": density + self.continuous * NORMAL_ENTROPY,
        }

    def discriminator_loss(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """See `GAN`; also what q tells of the codes, of scaled images (B, C, H, W)."""
        return super().discriminator_loss(x, self.sample_prior(len(x)))

    def generator_loss(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """See `GAN`; also what q tells of the codes, of scaled images (B, C, H, W)."""
        return super().generator_loss(x, self.sample_prior(len(x)))

    def further(
        self, fake: Tensor, real: Tensor | None, labels: Tensor | None
    ) -> dict[str, Charge]:
        """Minus what q tells of the latents (B, D + K), which are the labels of images here."""
        assert labels is not None
        told = self.information(fake, labels)
        return {name: Charge(-self.weights[name], nats.mean()) for name, nats in told.items()}


def check_codes(codes: int, continuous: int, latent_dim: int) -> None:
    """Refuse what an InfoGAN cannot be.

    Raises:
        UsageError: Saying what is wrong.
    """
    if not isinstance(codes, int) or codes < 1:
        raise UsageError(f"model.codes must be a whole number, 1 or more, not {codes}")
    if not isinstance(continuous, int) or not 0 <= continuous <= latent_dim:
        raise UsageError(f"model.continuous must lie in 0..latent_dim = {latent_dim}")
