r"""The Frechet distance between Gaussians fitted to two sets of features, and how sure it is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gen_models.errors import NotFinite, UsageError
from gen_models.evaluation.rows import Rows, shuffle, taken
from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.evaluation.statistics.gram import gram_matrix
from gen_models.evaluation.statistics.moments import Moments, block_length, exact, same_dimension

__all__ = [
    "Moments",
    "frechet_distance",
    "frechet_estimate",
    "frechet_standard_error",
    "frechet_unbiased",
]


def frechet_distance(real: Moments, fake: Moments) -> float:
    r"""Squared 2-Wasserstein distance between two Gaussians; FID on Inception's pool3 features.

    $|m_1 - m_2|^2 + \mathrm{tr}(C_1 + C_2 - 2 (C_1 C_2)^{1/2})$ (Heusel et al., 2017, section 2).
    With $C_i = F_i^T F_i$ the last trace is the nuclear norm of $F_1 F_2^T$.

    Args:
        real: Moments of the reference.
        fake: Moments of the samples.

    Returns:
        Squared feature units; equal Gaussians can give a rounding error below 0. Its bias over the
        number of samples N is c / N, with c depending on the model: compare at equal N only.

    Raises:
        UsageError: If the feature dimensions differ, or the distance is not finite.

    Example:
        >>> x = torch.randn(100, 3)
        >>> round(frechet_distance(Moments.of(x), Moments.of(x + 2)), 4)
        12.0
    """
    same_dimension(real, fake)
    real = real.to(fake.device)
    product = _product(real, fake)
    square = torch.linalg.eigvalsh(gram_matrix(product.T))
    common = square.sqrt() if _keeps_digits(square) else torch.linalg.svdvals(product)
    return _assembled(real, fake, common)


def frechet_estimate(*, real: Moments, fake: Tensor) -> Estimate:
    r"""The distance of samples from the reference, and its standard error by influence function.

    $$IF(x) = 2 (x-m_2)^T (m_2-m_1) + (x-m_2)^T (I-T) (x-m_2) - \mathrm{tr}((I-T) C_2)$$

    with T the optimal map from the samples' Gaussian to the reference, $T C_2 T = C_1$. The
    decomposition $F_1 F_2^T = U S V^T$ that gives the distance gives the map too,
    $T = F_1^T U S^{-1} U^T F_1$, on the directions in which the samples vary; no other direction
    enters. A percentile bootstrap would not do: its distribution is moved by the distance's own
    bias.

    Args:
        real: Moments of the reference.
        fake: Features (N, D) of the samples.

    Returns:
        Squared feature units, biased by c / N as `frechet_distance` is. Where the two Gaussians
        are nearly equal the error is too wide, by a half at most (measured): there the samples'
        spread enters it by its own bias.

    Raises:
        UsageError: If N < 2, a feature is not finite, or the dimensions differ.

    Example:
        >>> x = torch.randn(1000, 3)
        >>> value, error = frechet_estimate(real=Moments.of(x), fake=x + 2)
        >>> round(value, 4), error > 0
        (12.0, True)
    """
    return _estimate(real, Moments.of(fake), fake)


def frechet_unbiased(*, real: Moments, fake: Tensor, seed: int = 0) -> Estimate:
    r"""The distance without its bias over the number of samples, $2 F_N - \bar F_{N/2}$.

    The bias is c / N, so that the mean distance of two random halves has twice as much of it. The
    bias of the *reference's* size stays: the floor row shows it. Unbiased estimates of small
    distances can be negative.

    The standard error is the influence function's at N. It is right for nearly equal Gaussians too
    (within 8 % of the spread over redraws, measured): there it is too wide for the plain distance
    by as much as the halves add. For means m apart in one dimension, deviation s, the mean square
    of the error and the variance of this estimate are both $4 m^2 s^2 / N + 4 s^4 / N^2$.

    Args:
        real: Moments of the reference.
        fake: Features (N, D) of the samples, with N / 2 > D.
        seed: Of the split into halves.

    Returns:
        Squared feature units.

    Raises:
        UsageError: If N / 2 <= D, a feature is not finite, or the dimensions differ.
    """
    count, dimension = fake.shape
    if count // 2 <= dimension:
        raise UsageError(
            f"{count} samples are too few for an unbiased Frechet distance of {dimension} "
            f"features; draw {2 * dimension + 2} or more"
        )
    halves = [Moments.of(taken(fake, half)) for half in shuffle(count, seed).chunk(2)]
    biased = sum(frechet_distance(real, half) for half in halves) / 2
    whole = _estimate(real, Moments.merge(halves), fake)
    return Estimate(2 * whole.value - biased, whole.error)


def frechet_standard_error(real: Moments, features: Tensor) -> float:
    """The standard error alone of `frechet_estimate`, of features (N, D) of the samples."""
    error = frechet_estimate(real=real, fake=features).error
    assert error is not None
    return error


def _estimate(real: Moments, moments: Moments, fake: Tensor) -> Estimate:
    """Distance and standard error, given the moments of the samples beside their features."""
    same_dimension(real, moments)
    real = real.to(moments.device)
    product = _product(real, moments)
    square, left = torch.linalg.eigh(gram_matrix(product.T))
    common = square.clamp_min(0).sqrt()
    if not _keeps_digits(square):
        left, common, _ = torch.linalg.svd(product, full_matrices=False)
    # Below rounding there is no direction to map, only noise to divide by.
    varied = common > max(product.shape) * torch.finfo(common.dtype).eps * common.max()
    root = real.factor.T @ (left[:, varied] / common[varied].sqrt())
    shift = 2 * (moments.mean - real.mean)
    influence = Rows(len(fake))
    for block in fake.split(block_length(fake.shape[1])):
        x = exact(block) - moments.mean
        influence.add(x @ shift + x.square().sum(1) - (x @ root).square().sum(1))
    error = influence.all().std() / len(fake) ** 0.5
    return Estimate(_assembled(real, moments, common), error.item())


def _product(real: Moments, fake: Moments) -> Tensor:
    """The factors' product (K, L), whose square is finite too.

    Raises:
        UsageError: If it overflows. All else that the distance is made of is smaller.
    """
    product = real.factor @ fake.factor.T
    if not product.square().sum().isfinite():
        spreads = [moments.factor.abs().max().item() for moments in (real, fake)]
        raise NotFinite(
            "the Frechet distance overflows: features deviate by up to "
            f"{spreads[0]:.3g} (real) and {spreads[1]:.3g} (fake)"
        )
    return product


def _keeps_digits(square: Tensor) -> bool:
    """Whether roots of these ascending eigenvalues of M M^T are as good as singular values of M.

    The root of an eigenvalue is wrong by 1e-16 max / root; where that is below 1e-11 of the largest
    the square does, in a quarter of the time (D = 2048).
    """
    return bool(square[0] > 1e-10 * square[-1])


def _assembled(real: Moments, fake: Moments, common: Tensor) -> float:
    """The distance, given the singular values of the factors' product.

    Raises:
        UsageError: If it overflows.
    """
    shift = (real.mean - fake.mean).square().sum()
    spread = real.factor.square().sum() + fake.factor.square().sum()
    distance = (shift + spread - 2 * common.sum()).item()
    if not math.isfinite(distance):
        raise NotFinite(
            f"the Frechet distance is not finite: |difference of means|² is {shift.item():.3g}, "
            f"the trace of the covariances {spread.item():.3g}"
        )
    return distance
