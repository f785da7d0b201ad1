r"""Features as points of a grid, on which squared distances are exact, and the nearest of them.

Inner products of matrices are fast but noisy: in floating point an image is some way off its own
copy, and whether a distance equals a radius depends on the size of the block. Here features are
first rounded to whole multiples of one small step, 2^-25 of the largest norm. Products of whole
numbers are exact in float64 as long as sums stay below 2^53, in every order of summation: distances
are exact, those of duplicates are 0, ties are ties, and neither block nor order nor device can
change them.

Few of all pairs are near. A product in float32, at twice the speed or, on most GPUs, at 32 times,
gives every squared distance from below, with the most that rounding can add taken off. Pairs that
this bound puts out of reach are out of reach; the others are measured exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from gen_models.errors import UsageError

BLOCK = 512
"""Images of either side of a tile, which fits a processor's cache."""

SPARE = 3
"""Candidates beyond the k that a search asks for, so that the bound of the last one shows that no
other image can be nearer."""

GATHERED = 2**17
"""Features that are gathered at a time, which fit a processor's cache."""


class Points(NamedTuple):
    r"""Features as whole numbers of steps away from the mean of the real images.

    Attributes:
        whole: (N, D), whole numbers up to 2^24, float32.
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
        reach = largest = 0.0
        for part in (*real.split(BLOCK), *fake.split(BLOCK)):
            centred = part - mean
            reach = max(reach, torch.linalg.vector_norm(centred, dim=1).max().item())
            largest = max(largest, centred.abs().max().item())
        # With norms up to 2^25 steps, |x|^2 + |y|^2 + 2 |x . y| stays below 2^53; and float32 holds
        # whole numbers up to 2^24.
        step = 2.0 ** max(math.frexp(reach)[1] - 25, math.frexp(largest)[1] - 24)
        centre = (mean / step).round() * step if reach else mean
        return cls._on(real, centre, step), cls._on(fake, centre, step)

    @classmethod
    def _on(cls, features: Tensor, centre: Tensor, step: float) -> Points:
        dimension = len(centre)
        whole = features.new_empty(features.shape, dtype=torch.float32)
        squares, tilts = centre.new_empty(2, len(features))
        for rows in slices(0, len(features), BLOCK):
            centred = ((features[rows] - centre) / step).round()
            whole[rows] = centred
            squares[rows] = centred.square().sum(1)
            tilts[rows] = centred @ centre * step / dimension
        tilts += (centre @ centre / dimension + 1) / 2
        # A sum of D products is wrong by at most D 2^-24 |x| |y|, in every order (Higham, Accuracy
        # and Stability of Numerical Algorithms, section 3.1), and 2 |x| |y| <= |x|^2 + |y|^2. The
        # other operations, on numbers up to 2 (|x|^2 + |y|^2), add less than 8 such roundings.
        lessened = (squares * (1 - (dimension + 8) * 2.0**-24)).float()
        return cls(whole, squares, lessened, tilts, step)

    def take(self, indices: Tensor) -> Points:
        """The points with these indices, in their order."""
        return Points(*(part[indices] for part in self[:4]), self.step)

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
        """Squared distances (P,) of single pairs, exact, in squared steps, float64."""
        size = max(1, GATHERED // self.whole.shape[1])
        found = [
            (self.whole.index_select(0, i).double() - others.whole.index_select(0, j).double())
            .square_()
            .sum(1)
            for i, j in zip(indices.split(size), partners.split(size), strict=True)
        ]
        return torch.cat(found)

    def bounds(self, rows: slice, others: Points, columns: slice) -> Tensor:
        """Squared distances of a tile from below, in squared steps, float32.

        They fall short by less than 2^-23 (D + 8) of |x|^2 + |y|^2; within `full_precision` only.
        """
        x, y = self.whole[rows], others.whole[columns]
        bounds = torch.addmm(others.lessened[columns], x, y.T, alpha=-2)
        return bounds.add_(self.lessened[rows, None])

    def kernel(self, rows: slice, others: Points, columns: slice, bounds: Tensor) -> Tensor:
        """Values of KID's kernel (x . y / D + 1)^3, float64, of a tile with these bounds."""
        scale = self.step**2 / self.whole.shape[1] / 2
        x, y = (points.tilts + scale * points.lessened for points in (self, others))
        inner = bounds.double().mul_(-scale).add_(x[rows, None]).add_(y[columns])
        return inner.square().mul_(inner)


@contextmanager
def full_precision() -> Iterator[None]:
    """Products of float32 in float32, whatever the process or its autocast would take for them."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


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
        self.bounds = points.squares.new_full((len(points.squares), k + SPARE), math.inf)
        self.indices = torch.zeros_like(self.bounds, dtype=torch.long)

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
        pairs = each.repeat_interleave(self.indices.shape[1]), self.others, self.indices.flatten()
        squares = self.points.distances_of(*pairs).view_as(self.bounds)
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
    tile = points.distances if exact else points.bounds
    for rows in slices(0, len(points.squares), block):
        for columns in slices(0, len(others.squares), block):
            search.see(rows, columns, tile(rows, others, columns))
    return search.found()


def smallest(values: Tensor, k: int, groups: int = 64) -> tuple[Tensor, Tensor]:
    """The k smallest of each row (R, C), in no order, and their columns; fewer where C < k.

    The k smallest stand in the k groups with the smallest minima, and minima are cheap: a selection
    over all columns would take longer than the products.
    """
    rows, columns = values.shape
    size = columns // groups
    if size < 2 or k >= groups:
        return values.topk(min(k, columns), largest=False, sorted=False)
    # Part by part, which is as fast for a transposed tile; `amin` is 50 times slower there.
    minima = reduce(torch.minimum, values[:, : groups * size].split(groups, dim=1))
    chosen = minima.topk(k, largest=False, sorted=False).indices
    everyone = torch.arange(columns, device=values.device)
    members = (chosen[:, None] + everyone[: groups * size : groups, None]).reshape(rows, -1)
    members = torch.cat([members, everyone[groups * size :].expand(rows, -1)], dim=1)
    found, order = values.gather(1, members).topk(k, largest=False, sorted=False)
    return found, members.gather(1, order)


def few_below(values: Tensor, groups: int = 32) -> tuple[Tensor, Tensor]:
    """Rows and columns of the values (R, C) that are at most 0, fast where they are few."""
    flat = values.flatten()
    size = len(flat) // groups
    everyone = torch.arange(len(flat), device=flat.device)
    hit = (flat[: groups * size].view(groups, size).amin(0) <= 0).nonzero()[:, 0]
    members = (hit + everyone[: groups * size : size, None]).flatten() if size else everyone[:0]
    members = torch.cat([members, everyone[groups * size :]])
    members = members[flat[members] <= 0]
    return members // values.shape[1], members % values.shape[1]


def slices(start: int, stop: int, size: int) -> Iterator[slice]:
    """Consecutive slices of start .. stop, the last one shorter."""
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))


def check(**sets: Tensor) -> None:
    """Whether sets of features, by their names, can be compared.

    Raises:
        UsageError: If one is empty or not finite, or dimensions differ.
    """
    dimensions = set()
    for name, features in sets.items():
        assert features.ndim == 2, f"features are (N, D), not {tuple(features.shape)}"
        dimensions.add(features.shape[1])
        if not len(features):
            raise UsageError(f"there are no {name} images to compare")
        bad = (~features.isfinite()).any(1).nonzero()
        if len(bad):
            raise UsageError(f"{name} image {int(bad[0])} has features that are not finite")
    if len(dimensions) > 1:
        few, many = sorted(dimensions)[:2]
        raise UsageError(f"features of {few} and {many} dimensions have no distance")
