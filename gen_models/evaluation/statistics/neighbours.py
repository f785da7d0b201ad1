"""Who lies in whose neighbourhood: precision, recall, density, coverage, and a divergence.

A ball is drawn around every image of a set, out to its kth nearest other image of the same set. The
errors of precision and density are exact, because both are means over independent fakes once the
balls of the real images are fixed. Recall and coverage ask instead whether any fake is near; their
errors come from leaving out each of 20 blocks of fakes. Against redraws these are right to a
quarter for shares below 0.9, but up to twice too wide near 1, where each real image is found by
several fakes. In recall the balls of the fakes that are left keep their radii.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.estimate import Estimate, mean_estimate, share_estimate
from gen_models.evaluation.statistics.pairs import Pairs, blocks_of
from gen_models.evaluation.statistics.points import Points, nearest


def precision(pairs: Pairs, k: int = 3) -> Estimate:
    """Share of fakes in a closed ball of some real image (Kynkäänniemi et al., 2019, section 3).

    It falls with the dimension for equal laws too: 0.98 at 2, 0.6 at 64 dimensions of a Gaussian.

    Args:
        pairs: Of real images and fakes, with k neighbours or more.
        k: The neighbour that a ball reaches to.

    Returns:
        In [0, 1]; exact duplicates count as inside, even where the ball has no extent.

    Raises:
        UsageError: If the pairs were made with fewer neighbours.
    """
    return share_estimate(pairs.touched[:, _column(pairs, k)])


def recall(pairs: Pairs, k: int = 3) -> Estimate:
    """Share of real images in a closed ball of some fake (Kynkäänniemi et al., 2019, section 3).

    The balls are the fakes' own: a few outliers among them can have large ones.

    Args:
        pairs: Of real images and fakes, with k neighbours or more.
        k: The neighbour that a ball reaches to.

    Returns:
        In [0, 1].

    Raises:
        UsageError: If the pairs were made with fewer neighbours.
    """
    return _found(pairs.reached[:, _column(pairs, k)])


def density(pairs: Pairs, k: int = 5) -> Estimate:
    """Open balls of real images that hold a fake, over k, in the mean (Naeem et al., 2020).

    Args:
        pairs: Of real images and fakes, with k neighbours or more.
        k: The neighbour that a ball reaches to.

    Returns:
        From 0 to N / k; 1 in expectation for equal laws in every dimension.

    Raises:
        UsageError: If the pairs were made with fewer neighbours.
    """
    return mean_estimate(pairs.inside[:, _column(pairs, k)] / k)


def coverage(pairs: Pairs, k: int = 5) -> Estimate:
    """Share of real images whose open ball holds a fake (Naeem et al., 2020).

    Args:
        pairs: Of real images and fakes, with k neighbours or more.
        k: The neighbour that a ball reaches to.

    Returns:
        In [0, 1]; `expected_coverage` for equal laws in every dimension.

    Raises:
        UsageError: If the pairs were made with fewer neighbours.
    """
    return _found(pairs.block_nearest < pairs.real_radii[:, _column(pairs, k), None])


def expected_coverage(real_count: int, fake_count: int, k: int = 5) -> float:
    r"""Coverage that equal laws have in the mean: $1 - \prod_{i=1}^{k} (N - i) / (M + N - i)$.

    A ball is missed where the k nearest of all other images are real (Naeem et al., 2020). Only
    ranks matter, so that it holds for every continuous law.

    Args:
        real_count: N.
        fake_count: M.
        k: The neighbour that a ball reaches to.

    Returns:
        In [0, 1].

    Example:
        >>> round(expected_coverage(1000, 1000), 3)
        0.969
    """
    missed = 1.0
    for i in range(1, k + 1):
        missed *= (real_count - i) / (fake_count + real_count - i)
    return 1 - missed


@torch.no_grad()
def nearest_neighbour_divergence(*, real: Tensor, fake: Tensor, k: int = 5) -> Estimate:
    r"""$\mathrm{KL}(p_{real} \,\|\, p_{fake})$ from distances to the kth nearest neighbours.

    $\frac{D}{N} \sum_i \log \frac{\nu_k(i)}{\rho_k(i)} + \log \frac{M}{N - 1}$ (Wang et al., 2009),
    $\rho_k$ the distance of a real image to its kth nearest other real image and $\nu_k$ to its kth
    nearest fake. It converges for every k, but slowly in high dimensions: project to 16 or fewer.
    The bias then has either sign: shifted Gaussians come out low (0.30 for 0.50 nats at D = 16 and
    1000 images), a fake that is too wide comes out high (0.89 for 0.47 at D = 8).

    Repeats have no density. Each set is taken once per distinct image, with k >= 2, so that an
    image that stands in both sets leaves its kth distance above 0; but M counts the repeats, as the
    mass that a generator spends on them is missing everywhere else.

    Args:
        real: (N, D).
        fake: (M, D).
        k: Which neighbour, 2 or more; a greater k has less noise and more bias.

    Returns:
        Nats, may be below 0; the error is that of a jackknife over 20 blocks of fakes.

    Raises:
        UsageError: If there are not enough distinct images, or features do not fit.
    """
    assert k >= 2, "an image in both sets would be at distance 0"
    x, y = (points.distinct() for points in Points.of(real=real, fake=fake))
    for name, points, least in (("real images", x, k + 1), ("fakes", y, k)):
        if len(points.squares) < least:
            raise UsageError(
                f"{len(points.squares)} distinct {name} give no divergence by {k} nearest "
                f"neighbours; {least} or more would"
            )
    half = real.shape[1] / 2  # distances are squared
    own = nearest(x, x, k + 1).squares[:, k].log().mean() * half
    # More than k, so that k are left where a block is not.
    others = nearest(x, y, min(3 * k, len(y.squares)))
    own += torch.log(torch.tensor((len(x.squares) - 1) / len(fake)))
    value = others.squares[:, k - 1].log().mean() * half - own
    blocks = blocks_of(len(y.squares))
    groups = others.indices * blocks // len(y.squares)
    left_out = []
    for block in range(blocks):
        last = ((groups != block).cumsum(1) < k).sum(1, keepdim=True)
        remaining = others.squares.gather(1, last.clamp_max(others.squares.shape[1] - 1))
        left_out.append(remaining.log().mean() * half)
    return Estimate(value.item(), jackknife(torch.stack(left_out)))


def _column(pairs: Pairs, k: int) -> int:
    kept = pairs.real_radii.shape[1]
    if not 1 <= k <= kept:
        raise UsageError(f"k = {k} is not among the {kept} neighbours that were kept; ask for more")
    return k - 1


def _found(by_block: Tensor) -> Estimate:
    """Share of real images that some block (N, B) of fakes finds."""
    finders = by_block.sum(1, keepdim=True)
    left_out = (finders - by_block.int() > 0).double().mean(0)
    found = finders[:, 0] > 0
    # Where no block matters, chance still does: not below the error of a share at 0 or 1.
    edge = torch.full_like(found, bool(found.double().mean() > 0.5))
    error = max(jackknife(left_out), share_estimate(edge).error or 0.0)
    return Estimate(found.double().mean().item(), error)


def jackknife(left_out: Tensor) -> float:
    """Standard error from the values (B,) without each block (Efron & Stein, 1981)."""
    return ((len(left_out) - 1) * left_out.var(correction=0)).sqrt().item()
