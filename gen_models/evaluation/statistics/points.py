r"""Features as points of a grid, on which squared distances are exact, and the nearest of them.

Inner products of matrices are fast but noisy: in floating point an image is some way off its own
copy, and whether a distance equals a radius depends on the size of the block. Here features are
first rounded to whole multiples of one small step, 2^-25 of the largest norm, which is finer than
float32. Products of whole numbers are exact in float64 as long as sums stay below 2^53, in every
order of summation: distances are exact, those of duplicates are 0, ties are ties, and neither block
nor order nor device can change them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gen_models.errors import UsageError

BLOCK = 512
"""Images of either side of a tile, which fits a processor's cache."""


class Points(NamedTuple):
    r"""Features as whole numbers of steps away from the mean of the real images.

    Attributes:
        whole: (N, D), int32.
        squares: (N,), squared norms in squared steps, whole numbers in float64.
        tilts: (N,), float64; $x \cdot y / D + 1$ of features as they were is the product of whole
            numbers times step^2 / D plus the tilts of both.
        step: Features per unit, a power of 2.
    """

    whole: Tensor
    squares: Tensor
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
            torch.linalg.vector_norm(part - mean, dim=1).max().item()
            for part in (*real.split(BLOCK), *fake.split(BLOCK))
        )
        # With norms up to 2^25 steps, |x|^2 + |y|^2 + 2 |x . y| stays below 2^53.
        step = 2.0 ** (math.frexp(reach)[1] - 25)
        centre = (mean / step).round() * step if reach else mean
        return cls._on(real, centre, step), cls._on(fake, centre, step)

    @classmethod
    def _on(cls, features: Tensor, centre: Tensor, step: float) -> Points:
        dimension = len(centre)
        whole = features.new_empty(features.shape, dtype=torch.int32)
        squares, tilts = centre.new_empty(2, len(features))
        for rows in slices(0, len(features), BLOCK):
            centred = ((features[rows] - centre) / step).round()
            whole[rows] = centred.int()
            squares[rows] = centred.square().sum(1)
            tilts[rows] = centred @ centre * step / dimension
        tilts += (centre @ centre / dimension + 1) / 2
        return cls(whole, squares, tilts, step)

    def take(self, indices: Tensor) -> Points:
        """The points with these indices, in their order."""
        return Points(self.whole[indices], self.squares[indices], self.tilts[indices], self.step)

    def distinct(self) -> Points:
        """Each point once, in the order of first appearance."""
        inverse = self.whole.unique(dim=0, return_inverse=True)[1]
        order = torch.arange(len(inverse), device=inverse.device)
        first = torch.full_like(order, len(order)).scatter_reduce(0, inverse, order, "amin")
        return self.take(first[first < len(order)].sort().values)

    def products(self, rows: slice, others: Points, columns: slice) -> Tensor:
        """Inner products of a tile, exact, in squared steps."""
        return self.whole[rows].double() @ others.whole[columns].double().T

    def distances(self, rows: slice, others: Points, columns: slice, products: Tensor) -> Tensor:
        """Squared distances of a tile, exact, in squared steps."""
        total = self.squares[rows, None] + others.squares[columns]
        return total.sub_(products, alpha=2)

    def kernel(self, rows: slice, others: Points, columns: slice, products: Tensor) -> Tensor:
        """Values of KID's kernel (x . y / D + 1)^3; the products are used up."""
        inner = products.mul_(self.step**2 / self.whole.shape[1])
        inner.add_(self.tilts[rows, None]).add_(others.tilts[columns])
        return inner.square().mul_(inner)


class Nearest:
    """The k nearest of others seen so far, for each of a number of points.

    Attributes:
        squares: (N, k), squared distances in squared steps, ascending; infinite where none is.
        indices: (N, k), which of the others.
    """

    def __init__(self, points: Points, k: int) -> None:
        self.squares = points.squares.new_full((len(points.squares), k), math.inf)
        self.indices = torch.zeros_like(self.squares, dtype=torch.long)

    def see(self, rows: slice, columns: slice, squares: Tensor) -> None:
        """Take in the distances (R, C) of a tile."""
        found, indices = smallest(squares, self.squares.shape[1])
        found = torch.cat([self.squares[rows], found], dim=1)
        indices = torch.cat([self.indices[rows], indices + columns.start], dim=1)
        self.squares[rows], order = found.topk(self.squares.shape[1], largest=False)
        self.indices[rows] = indices.gather(1, order)


@torch.no_grad()
def nearest(points: Points, others: Points, k: int, block: int = BLOCK) -> Nearest:
    """The k nearest of others, (M, D), to each of points, (N, D), on the same grid."""
    found = Nearest(points, k)
    for rows in slices(0, len(points.squares), block):
        for columns in slices(0, len(others.squares), block):
            products = points.products(rows, others, columns)
            found.see(rows, columns, points.distances(rows, others, columns, products))
    return found


def smallest(values: Tensor, k: int, groups: int = 32) -> tuple[Tensor, Tensor]:
    """The k smallest of each row (R, C), in no order, and their columns; fewer where C < k.

    The k smallest stand in the k groups with the smallest minima, and minima are cheap: a selection
    over all columns would take longer than the products.
    """
    rows, columns = values.shape
    size = columns // groups
    if size < 2 or k >= groups:
        return values.topk(min(k, columns), largest=False, sorted=False)
    minima = values[:, : groups * size].unflatten(1, (size, groups)).amin(1)
    chosen = minima.topk(k, largest=False, sorted=False).indices
    everyone = torch.arange(columns, device=values.device)
    members = (chosen[:, None] + everyone[: groups * size : groups, None]).reshape(rows, -1)
    members = torch.cat([members, everyone[groups * size :].expand(rows, -1)], dim=1)
    found, order = values.gather(1, members).topk(k, largest=False, sorted=False)
    return found, members.gather(1, order)


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
