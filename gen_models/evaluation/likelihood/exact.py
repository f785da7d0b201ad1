"""log p(x) without estimating: closed where the decoder is linear, an integral where z is small."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood.joint import Joint
from gen_models.evaluation.likelihood.linear_gaussian import LinearGaussian
from gen_models.evaluation.likelihood.numerics import double
from gen_models.evaluation.likelihood.quadrature import quadrature

LINEAR = 1e-5
"""Largest departure from a linear map that is float32's rounding, relative to the largest value."""


def exact_log_likelihood(
    joint: Joint, pixels: Tensor, tolerance: float = 1e-4, intervals: int = 2048
) -> Tensor:
    """Log p(x), by `LinearGaussian` or by `quadrature`.

    Args:
        joint: p(x, z): linear-Gaussian with a standard normal prior, or of one or two latents.
        pixels: (B, C, H, W).
        tolerance: Of the quadrature, nats.
        intervals: Most intervals of an axis of the quadrature.

    Returns:
        (B,), nats per image, float64.

    Raises:
        UsageError: If the model is neither, or the quadrature does not converge.
    """
    linear = linear_gaussian(joint)
    if linear is not None:
        return linear.evidence.log_prob(double(pixels.flatten(1)))
    if joint.prior.event_shape[0] > 2:
        raise UsageError(
            f"exact log p(x) is for linear-Gaussian models and for 1 or 2 latents, not for "
            f"{joint.prior.event_shape[0]}; use annealed importance sampling"
        )
    return quadrature(joint, pixels, tolerance, intervals)


@torch.no_grad()
def linear_gaussian(joint: Joint) -> LinearGaussian | None:
    """The linear-Gaussian model that a joint density is; None if it is another.

    The map is read off at the origin and the unit vectors, and tried at other places.
    """
    if not _standard(joint.prior):
        return None
    dimension = joint.prior.event_shape[0]
    like = joint.prior.mean
    generator = torch.Generator().manual_seed(0)
    tried = 3 * torch.randn(2 * dimension + 2, dimension, generator=generator).to(like)
    units = torch.eye(dimension).to(like)
    observed = joint.observe(torch.cat((torch.zeros_like(units[:1]), units, tried)))
    inner = observed.base_dist if isinstance(observed, Independent) else observed
    if not isinstance(inner, Normal) or inner.scale.unique().numel() > 1:
        return None
    means = double(inner.mean).flatten(1)
    bias, weight = means[0], (means[1 : 1 + dimension] - means[0]).T
    departure = (means[1 + dimension :] - double(tried) @ weight.T - bias).abs().max()
    if departure > LINEAR * means.abs().max():
        return None
    return LinearGaussian(weight, bias, inner.scale.flatten()[0].item())


def _standard(prior: Distribution) -> bool:
    inner = prior.base_dist if isinstance(prior, Independent) else prior
    if not isinstance(inner, Normal):
        return False
    return bool((inner.mean == 0).all() and (inner.stddev == 1).all())
