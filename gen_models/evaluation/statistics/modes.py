r"""Which modes of a known mixture samples have found, how evenly, and how wide they make each.

A sample belongs to its nearest mode by Mahalanobis distance, and is of *high quality* where that
is below 3 (Srivastava et al., 2017; Lin et al., 2018). In D dimensions a perfect sampler's samples
are so with probability $F_D(9)$, F the distribution of chi squared: 0.9889 in the plane, not 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.classes import histogram_divergence
from gen_models.evaluation.statistics.estimate import Estimate, share_estimate

REACH = 3.0
"""Deviations within which a sample is of high quality."""

WIDEST = 10.0
"""The largest deviation, in true ones, that the part within `REACH` still tells from a plateau."""

BLOCK = 4096
"""Samples at a time."""


class Mixture(NamedTuple):
    """Gaussians with independent coordinates.

    Attributes:
        centres: (K, D), float64.
        deviations: (K, D), float64.
        weights: (K,), float64, summing to 1.
    """

    centres: Tensor
    deviations: Tensor
    weights: Tensor

    @classmethod
    def of(cls, density: Distribution | None) -> Mixture | None:
        """The mixture that a distribution is; None where it is another one."""
        components = getattr(density, "component_distribution", None)
        if not isinstance(density, MixtureSameFamily) or not isinstance(components, Independent):
            return None
        if not isinstance(components.base_dist, Normal) or density.batch_shape:
            return None
        centres, deviations = (
            moment.double().flatten(1) for moment in (components.mean, components.stddev)
        )
        return cls(centres, deviations, density.mixture_distribution.probs.double())

    @property
    def quality(self) -> float:
        """Probability that a perfect sample is of high quality."""
        from scipy.stats import chi2

        return float(chi2.cdf(REACH**2, self.centres.shape[1]))


class Found(NamedTuple):
    """Samples beside a mixture.

    Attributes:
        mode: (N,), the nearest one of each sample.
        squares: (N,), float64, its squared Mahalanobis distance.
        mixture: Theirs.
    """

    mode: Tensor
    squares: Tensor
    mixture: Mixture

    @classmethod
    def of(cls, samples: Tensor, mixture: Mixture) -> Found:
        """Find the nearest mode of samples (N, ...), in blocks, in float64 on the CPU."""
        nearest = []
        for part in samples.flatten(1).split(BLOCK):
            apart = (part.cpu().double()[:, None] - mixture.centres) / mixture.deviations
            nearest.append(apart.square().sum(2).min(1))
        squares, modes = zip(*nearest, strict=True)
        return cls(torch.cat(modes), torch.cat(squares), mixture)

    @property
    def good(self) -> Tensor:
        """(N,), whether a sample is of high quality."""
        return self.squares < REACH**2

    @property
    def counts(self) -> Tensor:
        """(K,), samples of high quality of each mode, float64."""
        return torch.bincount(self.mode[self.good], minlength=len(self.mixture.weights)).double()


def modes_covered(found: Found) -> Estimate:
    """Modes with a sample of high quality, one or more.

    The error adds up the chance of each mode to be met again or not in another draw of N, at its
    share of this one, as if counts were independent.
    """
    counts, total = found.counts, len(found.mode)
    again = 1 - (1 - counts / total) ** total
    return Estimate(float((counts > 0).sum()), (again * (1 - again)).sum().sqrt().item())


def high_quality(found: Found) -> Estimate:
    """Share of samples within 3 deviations of a mode; 1 is more than a perfect sampler has."""
    return share_estimate(found.good)


def mode_divergence(found: Found) -> Estimate:
    r"""$\mathrm{KL}(\hat p \,\|\, w)$, nats, of the modes of samples of high quality, uncorrected.

    Only these are counted, as in the code of PacGAN (Lin et al., 2018). A perfect sampler is
    expected to have (K - 1) / 2N.

    Raises:
        UsageError: If no sample is of high quality.
    """
    counts = found.counts
    if not counts.any():
        raise UsageError(f"none of {len(found.mode)} samples is of high quality")
    return histogram_divergence(counts, found.mixture.weights)


def deviation_ratio(found: Found) -> Estimate:
    r"""Deviation of samples around their mode over the true one; 1 at best, below 1: shrunken.

    The ratio s is that of a Gaussian around the mode which, cut off at 3 true deviations, has the
    mean square of the samples of high quality: $\bar r^2 = D s^2 F_{D+2}(9/s^2) / F_D(9/s^2)$. The
    error is by the delta method.

    Raises:
        UsageError: If fewer than 2 samples are of high quality, or they are spread too evenly for
            a width to be told.
    """
    from scipy.optimize import brentq
    from scipy.stats import chi2

    dimension, squares = found.mixture.centres.shape[1], found.squares[found.good]
    if len(squares) < 2:
        raise UsageError(f"{len(squares)} of {len(found.mode)} samples are of high quality")

    def mean_square(ratio: float) -> float:
        bound = REACH**2 / ratio**2
        inside = chi2.cdf(bound, dimension + 2) / chi2.cdf(bound, dimension)
        return float(dimension * ratio**2 * inside)

    mean = squares.mean().item()
    if mean >= mean_square(WIDEST):
        raise UsageError("samples are spread so evenly within 3 deviations that they have no width")
    ratio = brentq(lambda s: mean_square(s) - mean, 1e-9, WIDEST) if mean > 1e-18 else 0.0
    step = 1e-4 * max(ratio, 1e-4)
    slope = (mean_square(ratio + step) - mean_square(max(ratio - step, 1e-9))) / (2 * step)
    error = squares.std().item() / math.sqrt(len(squares))
    return Estimate(ratio, error / slope if slope > 0 else None)
