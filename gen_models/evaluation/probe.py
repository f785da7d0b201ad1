r"""One encoder for any decoder, trained the same way for all: a GAN has none, and a VAE's own fits.

Every decoder G is read as $p(x \mid z) = N(G(z), s^2 I)$ over pixels in [0, 1], and a diagonal
Gaussian $q(z \mid x)$ is trained for it, so that distortion and rate mean the same for all:

$$\log p(x) \ge -(D + R), \quad D = \mathbb{E}_q[-\log p(x \mid z)], \quad
R = \mathrm{KL}(q(z \mid x) \,\|\, p(z))$$

(Kingma & Welling, 2014, equation 3). The bound is loose by $\mathrm{KL}(q \,\|\, p(z \mid x))$:
by what a diagonal Gaussian cannot be, and by what the encoder has not learned within its budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from gen_models.capabilities import Decodes, ElboTerms
from gen_models.data.ranges import Scaler, to_pixels
from gen_models.distributions import DiagonalGaussian
from gen_models.errors import UsageError
from gen_models.evaluation.evaluate import undisturbed
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.precision import deterministic, full_precision
from gen_models.evaluation.prior import prior_of

LEAST_VARIANCE = 2.0**-16 / 12
"""Of rounding to 8 bits, squared pixels: no decoder is more exact than the images are."""


@dataclass(frozen=True, eq=False)
class ProbeEncoder:
    """A decoder with its observation noise, and an approximate posterior for it.

    Attributes:
        model: Whose decoder it is, in evaluation mode.
        encoder: Maps pixels (B, C, H, W) to q(z | x), batch shape (B,), event shape (D,).
        prior: p(z), event shape (D,).
        variance: s^2, squared pixels.
    """

    model: Decodes
    encoder: Callable[[Tensor], Distribution]
    prior: Distribution
    variance: float

    @torch.no_grad()
    def posterior(self, pixels: Tensor) -> Distribution:
        """q(z | x) of pixels (B, C, H, W): batch shape (B,), event shape (D,)."""
        return self.encoder(pixels)

    def reconstruct(self, pixels: Tensor) -> Tensor:
        """Pixels (B, C, H, W), decoded at the posterior's mean."""
        with torch.no_grad():
            return self.model.decode(self.posterior(pixels).mean)

    @torch.no_grad()
    def terms(self, pixels: Tensor, noise: Tensor) -> ElboTerms:
        r"""The two terms of the bound, for densities of pixels in [0, 1], not dequantised.

        Args:
            pixels: (B, C, H, W).
            noise: (K, B, D), standard normal: K draws of z an image.

        Returns:
            $\mathbb{E}_q[\log p(x \mid z)]$ and the rate, (B,) each, nats per image.
        """
        posterior = self.posterior(pixels)
        z = drawn(posterior, noise)
        error = decoding_error(self.model, z, pixels)
        per_pixel = math.log(2 * math.pi * self.variance) + error / self.variance
        return ElboTerms(-0.5 * pixels[0].numel() * per_pixel, rate(posterior, self.prior, z))


@dataclass(frozen=True)
class Probe:
    r"""The recipe of an encoder for a frozen decoder, equal for all decoders that are compared.

    q is trained on training images to make D + R least, with s^2 at its optimum, the mean squared
    error (the optimal sigma-VAE of Rybkin et al., 2021), at every step; s^2 is then fitted once
    more, on validation images. The encoder sees pixels scaled by mean and deviation of the training
    images. The rate of learning falls to 0 along a half cosine: the last weights are the best ones.

    Attributes:
        trunk: Factory of the encoder's trunk, called with `shape` and `features`.
        images: Training images shown.
        batch_size: Images a step.
        rate: Adam's first learning rate.
        draws: Of z for each image that is measured; training takes one.

    Raises:
        UsageError: If a number is not positive.
    """

    trunk: Callable[..., nn.Module]
    images: int = 40_000
    batch_size: int = 64
    rate: float = 3e-3
    draws: int = 8

    def __post_init__(self) -> None:
        for name in ("images", "batch_size", "rate", "draws"):
            if not getattr(self, name) > 0:
                raise UsageError(f"probe.{name} must be above 0, not {getattr(self, name)}")

    def fit(self, evidence: Evidence) -> ProbeEncoder:
        """Train the encoder; the model and the global random state stay as they were.

        Args:
            evidence: Whose model is decoded, and whose training and validation images are seen.
                Its seed is all that the result depends on beside these.

        Raises:
            UsageError: If there are no validation images, the prior is not known, or training has
                diverged.
        """
        if not len(evidence.validation.images):
            raise UsageError("the probe needs validation images: set data.validation above 0")
        guards = undisturbed(evidence.model, evidence.seed), full_precision(), deterministic()
        with guards[0], guards[1], guards[2], torch.enable_grad():
            prior = prior_of(evidence)
            encoder = self._untrained(evidence, prior.event_shape[0])
            self._train(encoder, prior, evidence)
            errors = self.errors(encoder, evidence)
        variance = errors.mean().item()
        if not math.isfinite(variance):
            raise UsageError(
                f"the probe has diverged: the decoder's images are not finite, or probe.rate="
                f"{self.rate} is too high; lower it"
            )
        return ProbeEncoder(evidence.model, encoder, prior, max(variance, LEAST_VARIANCE))

    def errors(self, encoder: Callable[[Tensor], Distribution], evidence: Evidence) -> Tensor:
        """Mean squared errors of decoded draws, (N,), one for each validation image."""
        generator = evidence.generator()

        def error(pixels: Tensor) -> Tensor:
            posterior = encoder(pixels)
            z = drawn(posterior, noise_for(posterior, self.draws, generator))
            return decoding_error(evidence.model, z, pixels)

        return evidence.each(evidence.validation.images, error)

    def noise(self, evidence: Evidence) -> float:
        """The deviation that the decoder is read with, pixels, by this probe's draws."""
        from gen_models.evaluation.observation import fitted_noise  # which reads probes

        return fitted_noise(evidence)

    @property
    def protocol(self) -> str:
        """The recipe in words; equal for all models that are comparable."""
        return (
            f"probe encoder {trunk_words(self.trunk)}, diagonal Gaussian, trained on "
            f"{self.images} images shown in batches of {self.batch_size} by Adam at {self.rate} "
            "(half cosine) at beta = 1; "
            "Gaussian noise of the mean squared error of decoded draws on validation images; "
            f"{self.draws} draws of z an image; the model's prior, N(0, I) where it names none; "
            "densities of pixels in [0, 1], not dequantised"
        )

    def _untrained(self, evidence: Evidence, latent_dim: int) -> nn.Module:
        images = evidence.train.images
        head = DiagonalGaussian(latent_dim)
        trunk = self.trunk(shape=tuple(images.shape[1:]), features=head.features)
        return nn.Sequential(Scaler.standard(images), trunk, head).to(evidence.device)

    def _train(self, encoder: nn.Module, prior: Distribution, evidence: Evidence) -> None:
        images, generator = evidence.train.images, evidence.generator()
        moved = list(encoder.parameters())
        optimizer = torch.optim.Adam(moved, lr=self.rate, fused=True)
        batches = shuffled(len(images), self.images, evidence.seed).split(self.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
        for rows in batches:
            pixels = to_pixels(images[rows.to(images.device)].to(evidence.device))
            posterior = encoder(pixels)
            z = drawn(posterior, noise_for(posterior, 1, generator))
            error = decoding_error(evidence.model, z, pixels).mean()
            # At its optimum the variance does not move the loss: it is a constant here.
            variance = error.detach().clamp_min(LEAST_VARIANCE)
            distortion = 0.5 * pixels[0].numel() * error / variance
            loss = distortion + rate(posterior, prior, z).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward(inputs=moved)  # nothing reaches the decoder
            optimizer.step()
            schedule.step()
        encoder.eval().requires_grad_(False)


def made_by(trunk: Callable[..., nn.Module]) -> Any:
    """The class or function behind a factory."""
    made = getattr(trunk, "func", trunk)
    return made if hasattr(made, "__qualname__") else type(made)


def trunk_words(trunk: Callable[..., nn.Module]) -> str:
    """A factory's class and keywords; with its module where it is a user's, as names repeat."""
    made, options = made_by(trunk), getattr(trunk, "keywords", {})
    ours = made.__module__.startswith("gen_models.")
    name = made.__name__ if ours else f"{made.__module__}.{made.__qualname__}"
    return f"{name}({', '.join(f'{k}={v}' for k, v in options.items())})"


def shuffled(count: int, total: int, seed: int) -> Tensor:
    """Image numbers (total,): all of `count` in random order, again and again."""
    generator = torch.Generator().manual_seed(seed)
    epochs = math.ceil(total / count)
    return torch.cat([torch.randperm(count, generator=generator) for _ in range(epochs)])[:total]


def noise_for(posterior: Distribution, draws: int, generator: torch.Generator) -> Tensor:
    """Standard normal noise (draws, B, D)."""
    shape = draws, *posterior.mean.shape
    return torch.randn(shape, generator=generator, device=posterior.mean.device)


def drawn(posterior: Distribution, noise: Tensor) -> Tensor:
    r"""$z = \mu + \sigma \epsilon$, (K, B, D), of standard normal noise (K, B, D)."""
    return posterior.mean + posterior.stddev * noise


def decoding_error(model: Decodes, z: Tensor, pixels: Tensor) -> Tensor:
    """Mean squared error of latents (K, B, D) over draws and pixels, (B,), squared pixels."""
    made = model.decode(z.flatten(0, 1)).unflatten(0, z.shape[:2])
    return (made - pixels).square().mean((0, 2, 3, 4))


def rate(posterior: Distribution, prior: Distribution, z: Tensor) -> Tensor:
    """KL(q(z | x) || p(z)), (B,), nats: closed where torch has it, else over draws z (K, B, D)."""
    try:
        return kl_divergence(posterior, prior)
    except NotImplementedError:
        return (posterior.log_prob(z) - prior.log_prob(z)).mean(0)
