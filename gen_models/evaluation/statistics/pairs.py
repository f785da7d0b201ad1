"""Everything that needs pairs of images, from one blocked pass over two sets of features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.precision import full_precision
from gen_models.evaluation.statistics.points import (
    BLOCK,
    Points,
    Search,
    slices,
)
from gen_models.evaluation.statistics.selection import few_below

BLOCKS = 20
"""Blocks of fakes, each left out once by the jackknife."""


@dataclass(frozen=True)
class Pairs:
    r"""What all pairs of two sets of features say; distances are squared, in squared feature units.

    All of it is float64, on the features' device. N real images, M fakes, k = 1 .. K neighbours, B
    blocks of consecutive fakes. Balls are the original's: around each image, out to its kth nearest
    in its own set.

    Attributes:
        real_kernel: (N,), sums of the kernel of each real image with the other real images.
        fake_kernel: (M,), of each fake with the other fakes.
        real_fake_kernel: (N,), of each real image with all fakes.
        fake_real_kernel: (M,), of each fake with all real images.
        fake_kernel_squares: Sum of the squared kernel over ordered pairs of different fakes.
        real_radii: (N, K), squared distances of real images to their nearest other real images.
        fake_radii: (M, K), of fakes to their nearest other fakes.
        block_nearest: (N, B), of real images to the nearest fake of each block; infinite where that
            is outside the closed Kth ball.
        inside: (M, K), how many open kth balls of real images hold the fake.
        touched: (M, K), whether a closed kth ball of a real image holds the fake.
        reached: (N, K, B), whether a closed kth ball of a fake of the block holds the real image.
    """

    real_kernel: Tensor
    fake_kernel: Tensor
    real_fake_kernel: Tensor
    fake_real_kernel: Tensor
    fake_kernel_squares: float
    real_radii: Tensor
    fake_radii: Tensor
    block_nearest: Tensor
    inside: Tensor
    touched: Tensor
    reached: Tensor

    @classmethod
    @torch.no_grad()
    @full_precision()
    def of(cls, *, real: Tensor, fake: Tensor, neighbours: int = 5, block: int = BLOCK) -> Pairs:
        """Compare all pairs in O((N + M)^2 D) time and O(block^2) memory beside the results.

        Args:
            real: Features (N, D), N > neighbours.
            fake: Features (M, D), M > neighbours, on the same device.
            neighbours: K.
            block: Images of either side of a tile; changes no distance, and kernels by rounding.

        Raises:
            UsageError: If a set is too small, dimensions differ or a feature is not finite.
        """
        for name, features in (("real", real), ("fake", fake)):
            if len(features) <= neighbours:
                raise UsageError(
                    f"{len(features)} {name} images have no {neighbours} nearest others; "
                    f"take {neighbours + 1} or more"
                )
        x, y = Points.of(real=real, fake=fake)
        real_kernel, _, real_radii = _within(x, neighbours, block)
        fake_kernel, squares, fake_radii = _within(y, neighbours, block)
        across = _Across(x, y, real_radii, fake_radii)
        for rows in slices(0, len(real), block):
            for columns in slices(0, len(fake), block):
                across.see(rows, columns)
        unit, levels = x.step**2, torch.arange(neighbours, device=across.touched.device)
        beyond = across.block_nearest > real_radii[:, -1:]
        return cls(
            real_kernel=real_kernel,
            fake_kernel=fake_kernel,
            real_fake_kernel=across.real_kernel,
            fake_real_kernel=across.fake_kernel,
            fake_kernel_squares=squares,
            real_radii=real_radii * unit,
            fake_radii=fake_radii * unit,
            block_nearest=across.block_nearest.masked_fill(beyond, math.inf) * unit,
            inside=across.held[:, :-1].cumsum(1),
            touched=across.touched[:, None] <= levels,
            reached=across.reached[:, None] <= levels[:, None],
        )


class _Across:
    """What the pass over real images (rows) and fakes (columns) gathers.

    The balls around an image grow with k: those that hold another image are all from some level on.
    """

    def __init__(self, x: Points, y: Points, real_radii: Tensor, fake_radii: Tensor) -> None:
        (reals, k), fakes = real_radii.shape, len(fake_radii)
        blank, blocks = x.squares, blocks_of(fakes)
        self.x, self.y, self.real_radii, self.fake_radii = x, y, real_radii, fake_radii
        self.real_reach, self.fake_reach = real_radii[:, -1].float(), fake_radii[:, -1].float()
        ends = torch.tensor([ends_of(group, fakes)[1] for group in range(blocks)])
        self.group = torch.bucketize(torch.arange(fakes), ends, right=True).to(blank.device)
        self.real_kernel, self.fake_kernel = blank.new_zeros(reals), blank.new_zeros(fakes)
        self.block_nearest = blank.new_full((reals, blocks), math.inf)
        # How many open balls of real images hold a fake from this level on; none at level k.
        self.held = blank.new_zeros(fakes, k + 1)
        # The first level of all closed balls that hold a fake, or a real image in a block's balls.
        self.touched = blank.new_full((fakes,), k, dtype=torch.long)
        self.reached = blank.new_full((reals, blocks), k, dtype=torch.long)

    def see(self, rows: slice, columns: slice) -> None:
        """Take in one tile."""
        products = self.x.products(rows, self.y, columns)
        kernel = self.x.kernel(rows, self.y, columns, products)
        self.real_kernel[rows] += kernel.sum(1)
        self.fake_kernel[columns] += kernel.sum(0)
        bounds = self.x.bounds(rows, self.y, columns, products)
        reach = torch.maximum(self.real_reach[rows, None], self.fake_reach[columns])
        i, j = few_below(bounds.sub_(reach))
        # A float64 product of the whole tile costs as much as so many single pairs.
        if len(i) * 32 > bounds.numel():
            squares = self.x.distances(rows, self.y, columns)[i, j]
        else:
            squares = self.x.distances_of(i + rows.start, self.y, j[:, None] + columns.start)[:, 0]
        self._settle(i + rows.start, j + columns.start, squares)

    def _settle(self, real: Tensor, fake: Tensor, squares: Tensor) -> None:
        """Take in pairs of images (P,) and their exact distances (P,)."""
        d, levels = squares[:, None], self.held.shape[1]
        place = real * self.reached.shape[1] + self.group[fake]
        real_radii, fake_radii = self.real_radii[real], self.fake_radii[fake]
        held = fake * levels + (d >= real_radii).sum(1)
        self.held += torch.bincount(held, minlength=self.held.numel()).view_as(self.held)
        self.touched.scatter_reduce_(0, fake, (d > real_radii).sum(1), "amin")
        self.reached.view(-1).scatter_reduce_(0, place, (d > fake_radii).sum(1), "amin")
        self.block_nearest.view(-1).scatter_reduce_(0, place, squares, "amin")


def _within(points: Points, k: int, block: int) -> tuple[Tensor, float, Tensor]:
    """Kernel sums (N,), the sum of their squares, squared distances (N, k), all to the others."""
    count = len(points.squares)
    search = Search(points, points, k + 1)  # each is its own nearest, at exactly 0
    sums, squares = torch.zeros_like(points.squares), points.squares.new_zeros(())
    for rows in slices(0, count, block):
        for columns in slices(rows.start, count, block):
            products = points.products(rows, points, columns)
            kernel = points.kernel(rows, points, columns, products)
            bounds = points.bounds(rows, points, columns, products)
            search.see(rows, columns, bounds)
            if rows == columns:
                kernel.fill_diagonal_(0)
            else:
                search.see(columns, rows, bounds.T)
                sums[columns] += kernel.sum(0)
            sums[rows] += kernel.sum(1)
            squares += kernel.square_().sum() * (1 if rows == columns else 2)
    return sums, squares.item(), search.found().squares[:, 1:]


def blocks_of(fakes: int) -> int:
    """Blocks of the jackknife."""
    return min(BLOCKS, fakes)


def ends_of(group: int, fakes: int) -> tuple[int, int]:
    """First fake of a block, and the first that is not in it any more."""
    return group * fakes // blocks_of(fakes), (group + 1) * fakes // blocks_of(fakes)
