"""Everything that needs pairs of images, from one blocked pass over two sets of features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.points import BLOCK, Nearest, Points, slices

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
        real_to_fake: (N, K), of real images to their nearest fakes.
        fake_to_real: (M, K), of fakes to their nearest real images.
        block_nearest: (N, B), of real images to the nearest fake of each block.
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
    real_to_fake: Tensor
    fake_to_real: Tensor
    block_nearest: Tensor
    inside: Tensor
    touched: Tensor
    reached: Tensor

    @classmethod
    @torch.no_grad()
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
            for group in range(blocks_of(len(fake))):
                for columns in slices(*ends_of(group, len(fake)), block):
                    across.see(rows, columns, group)
        unit = x.step**2
        return cls(
            real_kernel=real_kernel,
            fake_kernel=fake_kernel,
            real_fake_kernel=across.real_kernel,
            fake_real_kernel=across.fake_kernel,
            fake_kernel_squares=squares,
            real_radii=real_radii * unit,
            fake_radii=fake_radii * unit,
            real_to_fake=across.real_nearest.squares * unit,
            fake_to_real=across.fake_nearest.squares * unit,
            block_nearest=across.block_nearest * unit,
            inside=across.inside,
            touched=across.touched <= 0,
            reached=across.reached <= 0,
        )


class _Across:
    """What the pass over real images (rows) and fakes (columns) gathers."""

    def __init__(self, x: Points, y: Points, real_radii: Tensor, fake_radii: Tensor) -> None:
        (reals, k), fakes = real_radii.shape, len(fake_radii)
        blank, blocks = x.squares, blocks_of(fakes)
        self.x, self.y, self.real_radii, self.fake_radii = x, y, real_radii, fake_radii
        self.real_kernel, self.fake_kernel = blank.new_zeros(reals), blank.new_zeros(fakes)
        self.real_nearest, self.fake_nearest = Nearest(x, k), Nearest(y, k)
        self.block_nearest = blank.new_full((reals, blocks), math.inf)
        self.inside = blank.new_zeros(fakes, k)
        # Least of squared distance minus squared radius: at most 0 where a closed ball holds it.
        self.touched = blank.new_full((fakes, k), math.inf)
        self.reached = blank.new_full((reals, k, blocks), math.inf)

    def see(self, rows: slice, columns: slice, group: int) -> None:
        """Take in one tile, whose fakes are of one block."""
        products = self.x.products(rows, self.y, columns)
        distances = self.x.distances(rows, self.y, columns, products)
        kernel = self.x.kernel(rows, self.y, columns, products)
        self.real_kernel[rows] += kernel.sum(1)
        self.fake_kernel[columns] += kernel.sum(0)
        self.real_nearest.see(rows, columns, distances)
        self.fake_nearest.see(columns, rows, distances.T)
        _lower(self.block_nearest[rows, group], distances.amin(1))
        margin = products
        for k in range(self.real_radii.shape[1]):
            torch.sub(distances, self.real_radii[rows, k, None], out=margin)
            _lower(self.touched[columns, k], margin.amin(0))
            self.inside[columns, k] += margin.lt_(0).sum(0)
            torch.sub(distances, self.fake_radii[columns, k], out=margin)
            _lower(self.reached[rows, k, group], margin.amin(1))


def _lower(bound: Tensor, values: Tensor) -> None:
    torch.minimum(bound, values, out=bound)


def _within(points: Points, k: int, block: int) -> tuple[Tensor, float, Tensor]:
    """Kernel sums (N,), the sum of their squares, squared distances (N, k), all to the others."""
    count = len(points.squares)
    nearest = Nearest(points, k + 1)  # each is its own nearest, at exactly 0
    sums, squares = torch.zeros_like(points.squares), points.squares.new_zeros(())
    for rows in slices(0, count, block):
        for columns in slices(rows.start, count, block):
            products = points.products(rows, points, columns)
            nearest.see(
                rows, columns, distances := points.distances(rows, points, columns, products)
            )
            kernel = points.kernel(rows, points, columns, products)
            if rows == columns:
                kernel.fill_diagonal_(0)
            else:
                nearest.see(columns, rows, distances.T)
                sums[columns] += kernel.sum(0)
            sums[rows] += kernel.sum(1)
            squares += kernel.square_().sum() * (1 if rows == columns else 2)
    return sums, squares.item(), nearest.squares[:, 1:]


def blocks_of(fakes: int) -> int:
    """Blocks of the jackknife."""
    return min(BLOCKS, fakes)


def ends_of(group: int, fakes: int) -> tuple[int, int]:
    """First fake of a block, and the first that is not in it any more."""
    return group * fakes // blocks_of(fakes), (group + 1) * fakes // blocks_of(fakes)
