r"""Data of known density: points in the place of images, shape (1, 1, D), stored in floats.

Points lie about the unit square or cube, so that the same generator, whose pixels are sigmoids,
serves VAE and GAN alike. The map to the units in which the sets are published is affine, u = (x -
1/2) / scale, and adds a constant to densities: with D coordinates,
$\log p(x) = \log p(u) - D \log \text{scale}$, and entropies are
$H(x) = H(u) + D \log \text{scale}$ nats.
"""

import math
from abc import abstractmethod
from typing import Unpack

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from gen_models.data.draws import TEST_STREAM, TRAINING_STREAM, normal, uniform
from gen_models.data.images import ImageSet
from gen_models.data.module import ImageDataModule
from gen_models.data.options import Options
from gen_models.data.splits import check_seed
from gen_models.errors import UsageError

REACH = 0.4
"""How far the outermost modes lie from the middle of the unit square, in pixels."""


class ToyOptions(Options, total=False):
    """The keyword arguments of every toy; `Toy` says what they mean."""

    count: int
    test_count: int
    draw_seed: int


class Toy(ImageDataModule):
    """Independent draws from a known distribution; training and test have a stream each.

    Attributes:
        density: The distribution over pixels, event shape (1, 1, D), float64 on the CPU.
        entropy: Of it, nats of pixels: the negative of the best log-likelihood to be had.
    """

    density: Distribution
    entropy: float
    numbers: int  # uniform ones that a point is made of

    def __init__(
        self,
        count: int = 50_000,
        test_count: int = 10_000,
        draw_seed: int = 0,
        **options: Unpack[Options],
    ) -> None:
        """Choose how many points are drawn.

        Args:
            count: Points for training and validation together.
            test_count: Points for test.
            draw_seed: Decides the draws; the seed of the run does not.
            **options: As in `ImageDataModule`.

        Raises:
            UsageError: If an option is outside its range.
        """
        super().__init__(**options)
        self.count = at_least(1, "count", count)
        self.test_count = at_least(1, "test_count", test_count)
        self.draw_seed = check_seed("draw_seed", draw_seed)

    def load(self) -> tuple[ImageSet, ImageSet]:
        """The points for training and validation, and those for test."""
        both = (self.count, TRAINING_STREAM), (self.test_count, TEST_STREAM)
        train, test = (self.place(uniform(n, self.numbers, self.draw_seed, s)) for n, s in both)
        return train, test

    @abstractmethod
    def place(self, numbers: Tensor) -> ImageSet:
        """The points that uniform numbers (N, numbers), float64 inside (0, 1), stand for."""


def as_images(
    points: Tensor, labels: Tensor | None = None, classes: tuple[str, ...] | None = None
) -> ImageSet:
    """Points (N, D) as images (N, 1, 1, D), float32."""
    return ImageSet(points.float()[:, None, None, :], labels, classes)


def at_least(least: int, name: str, value: int) -> int:
    """The value.

    Raises:
        UsageError: If it is no whole number, or below `least`.
    """
    if not isinstance(value, int) or value < least:
        raise UsageError(f"data.{name}={value} must be a whole number, {least} or more")
    return value


def positive(name: str, value: float) -> float:
    """The value.

    Raises:
        UsageError: If it is not above 0, or not finite.
    """
    if not 0 < value < math.inf:
        raise UsageError(f"data.{name}={value} must be a number above 0")
    return value


class Modes(Toy):
    r"""Equally likely round Gaussians in the plane; a point's label is the number of its mode.

    The entropy is $\log K + 1 + \log 2\pi + 2 \log \sigma$, exact where no two modes overlap: at
    the published sizes neighbours lie 38 deviations apart, and more.

    Attributes:
        centres: (K, 2), float64, pixels.
        deviation: Of each mode, pixels.
        scale: Pixels in a unit of the published set.
    """

    numbers = 3

    def __init__(self, centres: Tensor, deviation: float, **options: Unpack[ToyOptions]) -> None:
        """Place the modes around the middle of the unit square.

        Args:
            centres: (K, 2), float64, in the units of the published set, not all of them 0.
            deviation: Of each mode, in these units, > 0.
            **options: As in `Toy`.

        Raises:
            UsageError: If an option is outside its range.
        """
        super().__init__(**options)
        self.scale = REACH / centres.abs().max().item()
        self.centres = 0.5 + self.scale * centres
        self.deviation = self.scale * positive("deviation", deviation)
        count = len(centres)
        each = Normal(self.centres.view(count, 1, 1, 2), self.deviation)
        share = Categorical(torch.ones(count, dtype=torch.float64))
        self.density = MixtureSameFamily(share, Independent(each, 3))
        of_each = 1 + math.log(2 * math.pi) + 2 * math.log(self.deviation)
        self.entropy = math.log(count) + of_each

    def place(self, numbers: Tensor) -> ImageSet:
        """The first number chooses the mode, the other two the place in it."""
        labels = (numbers[:, 0] * len(self.centres)).long()
        points = self.centres[labels] + self.deviation * normal(numbers[:, 1:])
        return as_images(points, labels, tuple(str(mode) for mode in range(len(self.centres))))


class Ring(Modes):
    """Gaussians at equal distances on a circle; by default eight of deviation 0.02 on radius 1.

    Example:
        >>> round(Ring().entropy - 2 * math.log(Ring().scale), 3)  # nats in the published units
        -2.907
    """

    name = "ring"

    def __init__(
        self,
        modes: int = 8,
        radius: float = 1.0,
        deviation: float = 0.02,
        **options: Unpack[ToyOptions],
    ) -> None:
        """Choose the circle; radius and deviation in the units of the published set.

        Args:
            modes: How many Gaussians.
            radius: Of the circle, > 0; becomes 0.4 pixels.
            deviation: Of each Gaussian, > 0. (0.01 in the code of PacGAN: Lin et al., 2018.)
            **options: As in `Toy`.

        Raises:
            UsageError: If an option is outside its range.
        """
        turn = torch.arange(at_least(1, "modes", modes), dtype=torch.float64) / modes
        angle = 2 * math.pi * turn
        circle = torch.stack([angle.cos(), angle.sin()], dim=1)
        super().__init__(positive("radius", radius) * circle, deviation, **options)


class Grid(Modes):
    """Gaussians on a square grid; by default 25 of deviation 0.05, two units apart.

    Example:
        >>> round(Grid().entropy - 2 * math.log(Grid().scale), 3)  # nats in the published units
        0.065
    """

    name = "grid"

    def __init__(
        self,
        side: int = 5,
        spacing: float = 2.0,
        deviation: float = 0.05,
        **options: Unpack[ToyOptions],
    ) -> None:
        """Choose the grid; spacing and deviation in the units of the published set.

        Args:
            side: Gaussians in a row, 2 or more; the number of modes is its square.
            spacing: Between neighbours, > 0; the whole side becomes 0.8 pixels.
            deviation: Of each Gaussian, > 0.
            **options: As in `Toy`.

        Raises:
            UsageError: If an option is outside its range.
        """
        line = torch.arange(at_least(2, "side", side), dtype=torch.float64) - (side - 1) / 2
        places = torch.cartesian_prod(line, line)
        super().__init__(positive("spacing", spacing) * places, deviation, **options)
