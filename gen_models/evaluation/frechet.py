r"""The Frechet distance between Gaussians fitted to two sets of features.

Triangular factors of the centred features take the place of covariance matrices: nothing is
squared, so that fewer images than features, dead units and ill-conditioned features need no special
case.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gen_models.errors import UsageError


@dataclass(frozen=True)
class Moments:
    """A Gaussian fitted to features, in float64, on the CPU.

    Attributes:
        mean: (D,).
        factor: (min(N, D), D), R with R^T R the unbiased covariance.
        count: N, the number of images.
    """

    mean: Tensor
    factor: Tensor
    count: int

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Fit to features (N, D).

        Raises:
            UsageError: If N < 2 or a feature is not finite.
        """
        if len(features) < 2:
            raise UsageError(f"a Frechet distance needs 2 images or more, not {len(features)}")
        if not features.isfinite().all():
            index = int((~features.isfinite()).any(1).nonzero()[0])
            raise UsageError(f"image {index} has features that are not finite")
        x = features.cpu().double()  # not every accelerator has float64
        mean = x.mean(0)
        factor = torch.linalg.qr((x - mean) / (len(x) - 1) ** 0.5, mode="r").R
        return cls(mean, factor, len(x))


def frechet_distance(real: Moments, fake: Moments) -> float:
    r"""Squared 2-Wasserstein distance between two Gaussians; FID on Inception's pool3 features.

    $|m_1 - m_2|^2 + \mathrm{tr}(C_1 + C_2 - 2 (C_1 C_2)^{1/2})$ (Heusel et al., 2017, section 2).
    With $C_i = R_i^T R_i$ the last trace is the nuclear norm of $R_1 R_2^T$.

    Args:
        real: Moments of the reference.
        fake: Moments of the samples.

    Returns:
        Squared feature units. Its bias over the number of samples N is c / N, with c depending on
        the model: compare at equal N only.

    Raises:
        UsageError: If the feature dimensions differ.

    Example:
        >>> x = torch.randn(100, 3)
        >>> round(frechet_distance(Moments.of(x), Moments.of(x + 2)), 4)
        12.0
    """
    if real.mean.shape != fake.mean.shape:
        raise UsageError(
            f"features of {len(real.mean)} and {len(fake.mean)} dimensions have no distance"
        )
    shift = (real.mean - fake.mean).square().sum()
    spread = real.factor.square().sum() + fake.factor.square().sum()
    common = torch.linalg.svdvals(real.factor @ fake.factor.T).sum()
    return (shift + spread - 2 * common).item()


def frechet_standard_error(real: Moments, features: Tensor) -> float:
    r"""Standard error of the distance over the draw of the samples, by its influence function.

    $IF(x) = 2 (x-m)^T (m-m_1) + (x-m)^T (I-T) (x-m) - \mathrm{tr}((I-T) C)$ with T the optimal map
    from the samples' Gaussian (m, C) to the reference. A percentile bootstrap would not do: its
    distribution is moved by the distance's own bias.

    Args:
        real: Moments of the reference.
        features: (N, D) of the samples.

    Returns:
        Squared feature units.
    """
    fake = Moments.of(features)
    centred = features.cpu().double() - fake.mean
    values, vectors = torch.linalg.eigh(fake.factor.T @ fake.factor)
    root = values.clamp_min(0).sqrt()
    # A direction in which the samples do not vary has no map; it adds nothing to the spread.
    inverse = torch.where(root > 1e-7 * root.max(), 1 / root, torch.zeros_like(root))
    half, back = (vectors * root) @ vectors.T, (vectors * inverse) @ vectors.T
    inner, basis = torch.linalg.eigh(half @ real.factor.T @ real.factor @ half)
    transport = back @ ((basis * inner.clamp_min(0).sqrt()) @ basis.T) @ back
    curvature = torch.eye(len(transport)).to(transport) - transport
    influence = 2 * centred @ (fake.mean - real.mean) + ((centred @ curvature) * centred).sum(1)
    return (influence.std() / len(features) ** 0.5).item()
