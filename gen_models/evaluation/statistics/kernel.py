r"""The kernel distance (KID): the mean discrepancy of two sets of features by a cubic kernel."""

from __future__ import annotations

from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.evaluation.statistics.pairs import Pairs


def kernel_distance(pairs: Pairs) -> Estimate:
    r"""Squared maximum mean discrepancy with $k(x, y) = (x^T y / D + 1)^3$, KID's own kernel.

    $\frac{\sum_{i \ne l} k(x_i, x_l)}{N (N-1)} + \frac{\sum_{j \ne l} k(y_j, y_l)}{M (M-1)}
    - \frac{2}{NM} \sum_{ij} k(x_i, y_j)$ (Gretton et al., 2012, equation 3; Bińkowski et al., 2018,
    section 3) over all images at once, with no subsets: unbiased at every N and M, and negative
    about as often as positive where the laws are equal.

    The error is that of the draw of the fakes. Real images held fixed, the distance is a
    U-statistic of order two with $h(y, y') = k(y, y') - \phi(y) - \phi(y')$, $\phi$ the mean kernel
    to the real images, so that its variance is
    $(4 (M-2) \zeta_1 + 2 \zeta_2) / (M (M-1))$ (Hoeffding, 1948), $\zeta_1$ the variance of the
    influence function $E[h(y, Y)]$ and $\zeta_2$ that of h. Both are estimated without bias but for
    terms of order 1/M; the influence function alone would overstate the error where the laws are
    close, by up to $\sqrt 2$.

    Args:
        pairs: Of real images and fakes, 2 or more of each.

    Returns:
        Units of the kernel, that is, of the cube of a mean product of features.
    """
    real, fake = len(pairs.real_kernel), len(pairs.fake_kernel)
    within = pairs.real_kernel.sum() / (real * (real - 1))
    witness = pairs.fake_real_kernel / real
    ordered = fake * (fake - 1)
    spread = pairs.fake_kernel.sum() / ordered - 2 * witness.mean()
    value = (within + spread).item()
    if fake < 4:
        return Estimate(value)
    # Half of the mean of h goes to either argument, so that h is centred.
    offset = witness + spread / 2
    sums = pairs.fake_kernel - (fake - 2) * offset - offset.sum()
    squares = (
        pairs.fake_kernel_squares
        - 4 * (offset @ pairs.fake_kernel)
        + 2 * (fake - 2) * (offset @ offset)
        + 2 * offset.sum().square()
    )
    pair = squares / ordered
    single = ((sums @ sums - squares) / (ordered * (fake - 2))).clamp_min(0)
    variance = (4 * (fake - 2) * single + 2 * pair) / ordered
    return Estimate(value, variance.clamp_min(0).sqrt().item())
