r"""Features as points of a grid, on which squared distances are exact, and the nearest of them.

Inner products of matrices are fast but noisy: in floating point an image is some way off its own
copy, and whether a distance equals a radius depends on the size of the block. Here features are
first rounded to whole multiples of one small step, 2^-25 of the largest norm. Products of whole
numbers are exact in float64 as long as sums stay below 2^53, in every order of summation: distances
are exact, those of duplicates are 0, ties are ties, and neither block nor order nor device can
change them.

Few of all pairs are near. A product in float32, at twice the speed or, on many GPUs, at 32 times,
gives every squared distance from below: the most that rounding can add is taken off. Pairs that
this bound puts out of reach are out of reach; the others are measured exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.precision import full_precision
from gen_models.evaluation.rows import empty, taken
from gen_models.evaluation.statistics.selection import not_finite, smallest

BLOCK = 512
"""Images of either side of a tile, which fits a processor's cache."""

SPARE = 3
"""Candidates beyond the k of a search: the bound of the last shows that no other can be nearer."""


class Points(NamedTuple):
    r"""Features as whole numbers of steps away from the mean of the real images.

    Attributes:
        whole: (N, D), whole numbers, float32.
        squares: (N,), squared norms in squared steps, whole numbers in float64.
        lessened: (N,), float32, squared norms less the most that rounding can add to `bounds`.
        tilts: (N,), float64; $x \cdot y / D + 1$ of features as they were is the product of whole
            numbers times step^2 / D plus the tilts of both.
        step: Features per unit, a power of 2.
    """

    whole: Tensor
    squares: Tensor
    lessened: Tensor
    tilts: Tensor
    step: float

    @classmethod
    def of(cls, *, real: Tensor, fake: Tensor) -> tuple[Points, Points]:
        """Both sets, (N, D) and (M, D), on one grid.

        Raises:
            UsageError: If dimensions differ, a set is empty or a feature is not finite.
        """
        check(real=real, fake=fake)
        if real.device.type == "mps":  # which has no float64
            real, fake = real.cpu(), fake.cpu()
        mean = real.mean(0, dtype=torch.float64)
        reach = max(
            torch.linalg.vector_norm(part.double() - mean, dim=1).max().item()
            for features in (real, fake)
            for part in features.split(rows_at_a_time(len(mean)))
        )
        # With norms up to 2^25 steps, |x|^2 + |y|^2 + 2 |x . y| stays below 2^53.
        step = 2.0 ** (math.frexp(reach)[1] - 25)
        centre = (mean / step).round() * step if reach else mean
        return cls._on(real, centre, step), cls._on(fake, centre, step)

    @classmethod
    def _on(cls, features: Tensor, centre: Tensor, step: float) -> Points:
        dimension = len(centre)
        whole = empty(features.shape, features, torch.float32)
        squares, tilts = empty((2, len(features)), centre)
        for rows in slices(0, len(features), rows_at_a_time(dimension)):
            # Float32 holds whole numbers up to 2^24, and rounds larger ones to even ones.
            whole[rows] = (features[rows].double() - centre).div_(step).round_()
            x = whole[rows].double()
            squares[rows] = torch.linalg.vecdot(x, x)
            tilts[rows] = x @ centre * step / dimension
        tilts += (centre @ centre / dimension + 1) / 2
        # A sum of D products is wrong by at most D 2^-24 |x| |y| in every order of summation
        # (Jeannerod & Rump, 2013), and 2 |x| |y| <= |x|^2 + |y|^2. The few operations
        # that follow, on numbers up to 2 (|x|^2 + |y|^2), add less than 8 roundings of 2^-24.
        lessened = (squares * (1 - (dimension + 8) * 2.0**-24)).float()
        return cls(whole, squares, lessened, tilts, step)

    def take(self, indices: Tensor) -> Points:
        """The points with these indices, in their order."""
        whole, squares, lessened, tilts, step = self
        return Points(
            taken(whole, indices), squares[indices], lessened[indices], tilts[indices], step
        )

    def distinct(self) -> Points:
        """Each point once, in the order of first appearance."""
        inverse = self.whole.unique(dim=0, return_inverse=True)[1]
        order = torch.arange(len(inverse), device=inverse.device)
        first = torch.full_like(order, len(order)).scatter_reduce(0, inverse, order, "amin")
        return self.take(first[first < len(order)].sort().values)

    def distances(self, rows: slice, others: Points, columns: slice) -> Tensor:
        """Squared distances of a tile, exact, in squared steps, float64."""
        products = self.whole[rows].double() @ others.whole[columns].double().T
        return products.mul_(-2).add_(self.squares[rows, None]).add_(others.squares[columns])

    def distances_of(self, indices: Tensor, others: Points, partners: Tensor) -> Tensor:
        """Squared distances (P, K) of P points to K partners of each (P, K), as `distances`."""
        found = empty(partners.shape, self.squares)
        count, dimension = partners.shape[1], self.whole.shape[1]
        for part in slices(0, len(indices), rows_at_a_time(count * dimension)):
            x = self.whole.index_select(0, indices[part]).double()
            y = others.whole.index_select(0, partners[part].flatten()).double()
            apart = y.view(len(x), count, dimension).sub_(x[:, None])
            found[part] = torch.linalg.vecdot(apart, apart)
        return found

    def products(self, rows: slice, others: Points, columns: slice) -> Tensor:
        """Inner products of a tile in squared steps, float32; within `full_precision` only."""
        return self.whole[rows] @ others.whole[columns].T

    def bounds(self, rows: slice, others: Points, columns: slice, products: Tensor) -> Tensor:
        """Squared distances of a tile from below, in squared steps, float32.

        They fall short by less than 2^-23 (D + 8) (|x|^2 + |y|^2). The products are used up.
        """
        lessened = products.mul_(-2).add_(self.lessened[rows, None])
        return lessened.add_(others.lessened[columns])

    def kernel(self, rows: slice, others: Points, columns: slice, products: Tensor) -> Tensor:
        """Values of KID's kernel (x . y / D + 1)^3 from the products of a tile, float64."""
        inner = products.double().mul_(self.step**2 / self.whole.shape[1])
        inner.add_(self.tilts[rows, None]).add_(others.tilts[columns])
        return inner.pow_(3)


class Nearest(NamedTuple):
    """The k nearest of others, for each of a number of points.

    Attributes:
        squares: (N, k), squared distances in squared steps, ascending; infinite where none is.
        indices: (N, k), which of the others.
    """

    squares: Tensor
    indices: Tensor


class Search:
    """Candidates for the k nearest of others, (M, D), to each of points, (N, D), tile by tile."""

    def __init__(self, points: Points, others: Points, k: int) -> None:
        self.points, self.others, self.k = points, others, k
        shape = len(points.squares), k + SPARE
        self.bounds = empty(shape, points.squares).fill_(math.inf)
        self.indices = empty(shape, points.squares, torch.long).zero_()

    def see(self, rows: slice, columns: slice, bounds: Tensor) -> None:
        """Take in squared distances (R, C) of a tile, exact or from below."""
        count = self.bounds.shape[1]
        found, indices = smallest(bounds, count)
        found = torch.cat([self.bounds[rows], found], dim=1)
        indices = torch.cat([self.indices[rows], indices + columns.start], dim=1)
        self.bounds[rows], order = found.topk(count, largest=False)
        self.indices[rows] = indices.gather(1, order)

    def found(self) -> Nearest:
        """The nearest of all that were seen, which are all others, exactly."""
        each = torch.arange(len(self.indices), device=self.indices.device)
        squares = self.points.distances_of(each, self.others, self.indices)
        squares.masked_fill_(self.bounds.isinf(), math.inf)
        squares, order = squares.topk(self.k, largest=False)
        indices = self.indices.gather(1, order)
        # All that are no candidates are at least as far as the bound of the last candidate.
        doubtful = (squares[:, -1] > self.bounds[:, -1].clamp_min(0)).nonzero()[:, 0]
        if len(doubtful):
            exact = nearest(self.points.take(doubtful), self.others, self.k, exact=True)
            squares[doubtful], indices[doubtful] = exact
        return Nearest(squares, indices)


@torch.no_grad()
@full_precision()
def nearest(
    points: Points, others: Points, k: int, block: int = BLOCK, exact: bool = False
) -> Nearest:
    """The k nearest of others, (M, D), to each of points, (N, D), on the same grid.

    Args:
        points: Whose nearest are sought.
        others: Among which.
        k: How many.
        block: Images of either side of a tile.
        exact: Whether all distances are exact from the start, which takes longer.
    """
    search = Search(points, others, k)
    for rows in slices(0, len(points.squares), block):
        for columns in slices(0, len(others.squares), block):
            if exact:
                tile = points.distances(rows, others, columns)
            else:
                products = points.products(rows, others, columns)
                tile = points.bounds(rows, others, columns, products)
            search.see(rows, columns, tile)
    return search.found()


def rows_at_a_time(dimension: int) -> int:
    """Images of which a few copies in float64 fit a processor's cache."""
    return max(1, 2**17 // max(1, dimension))


def slices(start: int, stop: int, size: int) -> Iterator[slice]:
    """Consecutive slices of start .. stop, the last one shorter."""
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))


def check(**sets: Tensor) -> None:
    """Refuse sets of features, by their names, that cannot be compared.

    Raises:
        UsageError: If one is empty or not finite, or dimensions differ.
    """
    dimensions = set()
    for name, features in sets.items():
        assert features.ndim == 2, f"features are (N, D), not {tuple(features.shape)}"
        dimensions.add(features.shape[1])
        if not len(features):
            raise UsageError(f"there are no {name} images to compare")
        bad = not_finite(features)
        if len(bad):
            raise UsageError(f"{name} image {int(bad[0])} has features that are not finite")
    if len(dimensions) > 1:
        few, many = sorted(dimensions)[:2]
        raise UsageError(f"features of {few} and {many} dimensions have no distance")
