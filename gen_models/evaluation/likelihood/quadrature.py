r"""log p(x) of a decoder with one or two latents, exactly: the integral over z on a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood.joint import Joint
from gen_models.evaluation.likelihood.numerics import double, refuse_infinite

Box = Sequence[tuple[float, float]]
"""Lowest and highest value of each latent."""

FIRST_INTERVALS = 32


@torch.no_grad()
def quadrature(
    joint: Joint,
    pixels: Tensor,
    tolerance: float = 1e-6,
    intervals: int = 2048,
    box: Box | None = None,
    batch: int = 4096,
) -> Tensor:
    r"""$\log \int p(z)\,p(x \mid z)\,dz$ by the trapezoid rule, D = 1 or 2.

    The integrand is smooth and vanishes at the ends of the box, where the rule converges faster
    than any power of its spacing: a Gaussian of deviation s is integrated to
    $2 e^{-2 \pi^2 s^2 / h^2}$, 5e-9 at h = s (Trefethen & Weideman, 2014). The spacing is halved
    until no image changes by more than the tolerance. A grid on which one point has all the weight
    does not look converged: halving adds D log 2. But a spike far narrower than the first spacings,
    18/32 and 18/64 for a normal, can lie between their points unseen, and what is left converges:
    -48.6 for -4.15 nats with a decoder that is 0 but within 0.01 of one z. Each point is decoded
    once for all images.

    Args:
        joint: p(x, z).
        pixels: (B, C, H, W).
        tolerance: Largest change that is accepted, nats.
        intervals: Most intervals of an axis, 64 or more; D = 2 decodes their square. Enough are
            twice as many as the box is posterior deviations wide.
        box: The range of each latent; by default what `box_of` gives.
        batch: How many images to decode at a time; memory grows with it.

    Returns:
        (B,), nats per image, float64.

    Raises:
        UsageError: If D is above 2, the grid ends before the change is small enough, or an image's
            posterior reaches the end of the box.
    """
    dimension = joint.prior.event_shape[0]
    if dimension > 2:
        raise UsageError(
            f"quadrature is for 1 or 2 latents, not {dimension}; use annealed importance sampling"
        )
    box = box or box_of(joint)
    count = FIRST_INTERVALS
    value, change = _trapezoid(joint, pixels, box, count, batch)[0], math.inf
    while change > tolerance and 2 * count <= intervals:
        count *= 2
        finer, at_end = _trapezoid(joint, pixels, box, count, batch)
        change = (finer - value).abs().nan_to_num(0.0).max().item()
        value = finer
    if change > tolerance:
        raise UsageError(
            f"quadrature with {count} intervals an axis still changes by {change:.1e} nats; "
            f"raise `intervals` to {2 * count} or more, or the tolerance"
        )
    leaving = (at_end > math.log(tolerance)).nonzero()
    if len(leaving):
        raise UsageError(
            f"the posterior of image {int(leaving[0])} reaches the end of the box "
            f"{[tuple(round(x, 2) for x in side) for side in box]}; give a wider `box`"
        )
    return value


def box_of(joint: Joint) -> list[tuple[float, float]]:
    """A box far wider than the prior.

    Nine deviations on both sides of the mean for independent normals; for any other prior what
    10,000 draws span, and 1.3 times its half on both sides, which for a normal comes to the same.
    A prior with heavier tails wants a box of its own.

    Args:
        joint: p(x, z).

    Returns:
        D pairs.
    """
    prior = joint.prior
    if isinstance(prior, Independent) and isinstance(prior.base_dist, Normal):
        middle, half = prior.mean, 9 * prior.stddev
    else:
        z = joint.draw(10_000, torch.Generator().manual_seed(0))
        low, high = z.amin(0), z.amax(0)
        middle, half = (low + high) / 2, 2.3 * (high - low) / 2
    return list(zip((middle - half).tolist(), (middle + half).tolist(), strict=True))


def _trapezoid(
    joint: Joint, pixels: Tensor, box: Box, count: int, batch: int
) -> tuple[Tensor, Tensor]:
    """Log integral, and the log of the largest integrand at the box's ends over that anywhere.

    The ends have full weights in the place of halves: nothing may stand there in any case.

    Returns:
        (B,) each.
    """
    like = joint.draw(1, torch.Generator().manual_seed(0))
    axes = [torch.linspace(*side, count + 1, dtype=torch.float64).to(like) for side in box]
    grid = torch.cartesian_prod(*axes).view(-1, len(box))
    is_end = ((grid == grid.amin(0)) | (grid == grid.amax(0))).any(1)
    total = peak = end_peak = double(like.new_full((len(pixels),), -math.inf))
    for z, ends in zip(grid.split(batch), is_end.split(batch), strict=True):
        log_joint = joint.log_joint_of_all(z, pixels)
        refuse_infinite(log_joint, "log p(x, z)")
        total = torch.logaddexp(total, log_joint.logsumexp(0))
        peak = peak.maximum(log_joint.amax(0))
        at_ends = log_joint.where(ends.to(log_joint.device)[:, None], -math.inf)
        end_peak = end_peak.maximum(at_ends.amax(0))
    log_cell = math.log(math.prod((high - low) / count for low, high in box))
    return total + log_cell, end_peak - peak
