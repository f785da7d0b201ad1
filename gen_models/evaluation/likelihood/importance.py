r"""log p(x) from below by weighted draws: importance sampling, draws of the prior, kernels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood.joint import Joint
from gen_models.evaluation.likelihood.numerics import (
    LogMean,
    at_least,
    double,
    refuse_infinite,
    seeded,
)


class LogLikelihood(NamedTuple):
    """An estimate of log p(x) of each image.

    Attributes:
        value: (B,), nats per image, float64; in expectation at most log p(x).
        effective: (B,), effective sample size, 1 to K draws; where it is near 1 the value is low.
    """

    value: Tensor
    effective: Tensor


@torch.no_grad()
def importance_weighted(
    joint: Joint,
    posterior: Distribution | _Prior,
    pixels: Tensor,
    draws: int,
    generator: torch.Generator,
    batch: int = 256,
) -> LogLikelihood:
    r"""$L_K = \log \frac1K \sum_k p(x, z_k) / q(z_k \mid x)$, $z_k \sim q(z \mid x)$.

    Burda et al. (2016), equation 8. $\mathbb{E} L_K \le \log p(x)$, rises with K, and is the
    evidence lower bound at K = 1. The estimate itself is not a mean over examples of a ratio: give
    it with its standard error over images.

    Args:
        joint: p(x, z).
        posterior: q(z | x), batch shape (B,), event shape (D,). Only drawn from and evaluated.
        pixels: (B, C, H, W).
        draws: K, any number.
        generator: Where the draws come from; torch's global state is left as it was.
        batch: How many images to decode at a time; memory grows with it and with nothing else. The
            draws are the same whatever it is.

    Returns:
        Values and effective sample sizes of the images.

    Raises:
        UsageError: If `draws` or `batch` is below 1, or a weight is not finite.
    """
    at_least("draws", draws)
    at_least("batch", batch)
    at_once = max(1, batch // len(pixels))
    total: LogMean | None = None
    with seeded(generator):
        for first in range(0, draws, at_once):
            # One by one: a block of K draws and K blocks of one use the random numbers differently.
            drawn = [_draw(posterior) for _ in range(min(at_once, draws - first))]
            z, log_posterior = (torch.stack(parts) for parts in zip(*drawn, strict=True))
            log_weights = joint.log_joint(z, pixels, batch) - log_posterior
            part = LogMean.of(refuse_infinite(log_weights, "the importance weight"))
            total = part if total is None else total | part
    assert total is not None
    return LogLikelihood(total.value, total.effective)


def prior_sampling(
    joint: Joint, pixels: Tensor, draws: int, generator: torch.Generator, batch: int = 256
) -> LogLikelihood:
    r"""$\log \frac1K \sum_k p(x \mid z_k)$, $z_k \sim p(z)$: importance sampling from the prior.

    A loose lower bound: in a model worth the name few draws of the prior look like x, and the
    effective sample size says so.

    Args:
        joint: p(x, z).
        pixels: (B, C, H, W).
        draws: K.
        generator: Where the draws come from.
        batch: How many images to decode at a time.

    Raises:
        UsageError: As `importance_weighted`.
    """
    return importance_weighted(
        joint, _Prior(joint.prior, len(pixels)), pixels, draws, generator, batch
    )


class _Prior:
    """The prior in the place of a posterior: a draw for each image, whatever the image."""

    def __init__(self, prior: Distribution, count: int) -> None:
        self.prior, self.count = prior, count
        self.log_prob = prior.log_prob

    def sample(self) -> Tensor:
        """(B, D)."""
        return self.prior.sample(torch.Size([self.count]))


def _draw(posterior: Distribution | _Prior) -> tuple[Tensor, Tensor]:
    """One z for each image, (B, D), and its log q(z | x), (B,): at once, as flows remember it."""
    z = posterior.sample()
    return z, double(posterior.log_prob(z))


def kernel_density(samples: Iterable[Tensor], pixels: Tensor, deviation: float) -> Tensor:
    r"""$\log \frac1S \sum_s N(x; m_s, h^2 I)$: a Parzen window on a model's images (Parzen, 1962).

    With $m_s = decode(z_s)$, $z_s \sim p(z)$, and h the deviation of a Gaussian observation it *is*
    prior sampling, and as loose. It ranks models wrongly (Theis et al., 2016; Wu et al., 2017).

    Args:
        samples: Blocks (S_i, C, H, W) of the model's images, S in all; a generator that makes them
            as it goes keeps memory at one block.
        pixels: (B, C, H, W).
        deviation: h, in units of pixels on [0, 1], > 0.

    Returns:
        (B,), nats per image, float64.

    Raises:
        UsageError: If h is not above 0, there are no samples, or their shape is another.
    """
    return _kernel_densities(samples, pixels, [deviation])[0]


def tuned_kernel_density(
    samples: Iterable[Tensor], pixels: Tensor, validation: Tensor, deviations: Sequence[float]
) -> tuple[Tensor, float]:
    """The kernel density of the width that gives validation images the highest mean.

    The classical recipe (Breuleux et al., 2011; Goodfellow et al., 2014, section 5). Its width is
    the kernel's, not that of any model: another quantity than `kernel_density` at the observation's
    deviation.

    Args:
        samples: Blocks (S_i, C, H, W) of the model's images; read once.
        pixels: (B, C, H, W), to be measured.
        validation: (V, C, H, W), other images, which choose the width.
        deviations: The widths to choose from, > 0.

    Returns:
        Densities (B,), nats per image, and the width.

    Raises:
        UsageError: As `kernel_density`, or if there are no validation images or no widths.
    """
    if not len(validation) or not len(deviations):
        raise UsageError("a kernel width is chosen by validation images from a grid; give both")
    densities = _kernel_densities(samples, torch.cat((validation, pixels)), deviations)
    best = int(densities[:, : len(validation)].mean(1).argmax())
    return densities[best, len(validation) :], deviations[best]


def _kernel_densities(
    samples: Iterable[Tensor], pixels: Tensor, deviations: Sequence[float]
) -> Tensor:
    """Log densities (widths, B) of one pass over the samples."""
    if not all(deviation > 0 for deviation in deviations):
        raise UsageError(f"kernel widths must be above 0, not {list(deviations)}")
    x = double(pixels.flatten(1))
    widths = torch.tensor(deviations, dtype=torch.float64, device=x.device)
    total: LogMean | None = None
    for block in samples:
        if block.shape[1:] != pixels.shape[1:]:
            raise UsageError(
                f"the samples are {tuple(block.shape[1:])}, but the images to be measured are "
                f"{tuple(pixels.shape[1:])}; give images of one shape"
            )
        squares = torch.cdist(double(block.flatten(1)), x).square()
        part = LogMean.of(-0.5 * squares[:, None] / widths[:, None].square())
        total = part if total is None else total | part
    if total is None:
        raise UsageError("a kernel density needs samples, but there are none")
    volume = x.shape[1] * (widths * math.sqrt(2 * math.pi)).log()
    return total.value - volume[:, None]
