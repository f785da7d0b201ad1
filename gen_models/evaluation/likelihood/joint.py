r"""p(z) p(x | z), the joint density of latents and images: what estimators know of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood.numerics import double, seeded, value_and_slope

Observe = Callable[[Tensor], Distribution]
"""Latents (B, D) to p(x | z): batch shape (B,), event shape that of an image."""


@dataclass(frozen=True)
class Joint:
    r"""$p(x, z) = p(z)\,p(x \mid z)$ of any decoder, an image at a time.

    Log densities come back in float64, so that sums of them lose nothing; the decoder runs in the
    precision of the latents. Estimators walk into wild places: build the distributions with
    `validate_args=False`, as this package does.

    Attributes:
        prior: p(z), event shape (D,), no batch shape.
        observe: z (N, D) to p(x | z), batch shape (N,), event shape that of an image. In evaluation
            mode: it must give an image the same density whatever the rest of the batch.
    """

    prior: Distribution
    observe: Observe

    def log_prior(self, z: Tensor) -> Tensor:
        """Log p(z) of z (K, B, D): (K, B), nats."""
        return double(self.prior.log_prob(z))

    def log_likelihood(self, z: Tensor, pixels: Tensor, batch: int | None = None) -> Tensor:
        """Log p(x | z).

        Args:
            z: (K, B, D), K latents for each image.
            pixels: (B, C, H, W), or flat (B, P).
            batch: How many images to decode at a time; all by default. It moves memory and time,
                and the result by no more than rounding.

        Returns:
            (K, B), nats per image.

        Raises:
            UsageError: If the decoder's images have another shape.
        """
        parts = self._parts(z, pixels, batch)
        values = [self._log_likelihood(part, targets) for part, targets in parts]
        return torch.cat(values).view(z.shape[:2])

    def log_joint(self, z: Tensor, pixels: Tensor, batch: int | None = None) -> Tensor:
        """Log p(x, z), (K, B), nats per image; as `log_likelihood`."""
        return self.log_prior(z) + self.log_likelihood(z, pixels, batch)

    def log_joint_of_all(self, z: Tensor, pixels: Tensor) -> Tensor:
        """Log p(x, z) of every latent with every image; each latent is decoded once.

        Args:
            z: (N, D).
            pixels: (B, C, H, W).

        Returns:
            (N, B), nats per image.

        Raises:
            UsageError: As `log_likelihood`.
        """
        observation = self._observed(z, pixels)
        # One image at a time: N x B decoded images would stand in memory together.
        columns = [double(observation.log_prob(x.expand(len(z), *x.shape))) for x in pixels]
        return torch.stack(columns, 1) + double(self.prior.log_prob(z))[:, None]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw z ~ p(z), (count, D); torch's global random state is left as it was."""
        with seeded(generator):
            return self.prior.sample((count,))

    @torch.no_grad()
    def simulate(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw images, noise and all, and keep the latents: exact draws of their posterior.

        Args:
            count: B.
            generator: Where the draws come from; torch's global state is left as it was.

        Returns:
            Pixels (B, C, H, W) and latents (B, D).
        """
        z = self.draw(count, generator)
        with seeded(generator):
            return self.observe(z).sample(), z

    def likelihood_slope(
        self, z: Tensor, pixels: Tensor, batch: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log p(x | z), (K, B), and its gradient by z, (K, B, D); as `log_likelihood`."""
        parts = [
            value_and_slope(partial(self._log_likelihood, pixels=targets), part)
            for part, targets in self._parts(z, pixels, batch)
        ]
        values, slopes = zip(*parts, strict=True)
        return torch.cat(values).view(z.shape[:2]), torch.cat(slopes).view(z.shape)

    def _log_likelihood(self, z: Tensor, pixels: Tensor) -> Tensor:
        return double(self._observed(z, pixels).log_prob(pixels))

    def _observed(self, z: Tensor, pixels: Tensor) -> Distribution:
        observation = self.observe(z)
        if observation.event_shape != pixels.shape[1:]:
            raise UsageError(
                f"the decoder gives images {tuple(observation.event_shape)}, but the images to be "
                f"measured are {tuple(pixels.shape[1:])}; give images of the decoder's shape"
            )
        return observation

    def _parts(
        self, z: Tensor, pixels: Tensor, batch: int | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Latents (N, D), and their images, of at most `batch` pairs."""
        count = len(pixels)
        assert z.shape[1] == count, "each image has its own latents"
        flat = z.flatten(0, 1)
        rows = torch.arange(len(flat), device=pixels.device) % count
        size = batch or len(flat)
        for part, row in zip(flat.split(size), rows.split(size), strict=True):
            yield part, pixels[row]


def gaussian_observation(decode: Callable[[Tensor], Tensor], deviation: float) -> Observe:
    r"""Any decoder as a density: $p(x \mid z) = N(x; decode(z), s^2 I)$ over pixels.

    What gives a GAN a likelihood (Wu et al., 2017, section 3.1). A density of pixels means nothing
    without its s: state it beside the number.

    Args:
        decode: Latents (B, D) to pixels (B, C, H, W).
        deviation: s, in units of pixels on [0, 1], > 0.

    Raises:
        UsageError: If s is not above 0.
    """
    if not deviation > 0:
        raise UsageError(f"the deviation of the observation must be above 0, not {deviation}")

    def observe(z: Tensor) -> Distribution:
        mean = decode(z)
        normal = Normal(mean, deviation, validate_args=False)
        return Independent(normal, mean.dim() - 1, validate_args=False)

    return observe
