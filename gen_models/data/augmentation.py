r"""What is done to images before a discriminator judges them, at random and differentiably.

DiffAugment (Zhao et al., 2020): real and generated images alike, in both players' turns, so that
few images are not learned by heart and no augmentation leaks into the samples. Each step maps
scaled images (B, C, H, W) to such, with a draw of its own for each image. The published strengths
are those for pixels scaled to [-1, 1], `data.scaling=symmetric`; what a step blanks is 0 on the
scale: middle grey there, the mean colour of `standard`, black of `unit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from gen_models.errors import UsageError

Augmentation = Callable[[Tensor], Tensor]
"""Maps scaled images (B, C, H, W) to such."""


@dataclass(frozen=True)
class Composed:
    """Steps one behind the other.

    Attributes:
        steps: By name, in their order; None leaves one out.

    Example:
        >>> shift = Composed({"brightness": Brightness(0.5), "cutout": None})
        >>> shift(torch.zeros(2, 1, 4, 4)).flatten(1).std(1).tolist()
        [0.0, 0.0]
    """

    steps: Mapping[str, Augmentation | None]

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        for step in self.steps.values():
            x = x if step is None else step(x)
        return x


@dataclass(frozen=True)
class Brightness:
    """Adds one number to all of an image.

    Attributes:
        strength: The number is uniform in [-strength, strength), in the unit of scaled images.
    """

    strength: float = 0.5

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return x + self.strength * _signs(x)


@dataclass(frozen=True)
class Saturation:
    """Stretches each pixel's colour about its grey, the mean of its channels.

    Images of one channel stay as they are.

    Attributes:
        strength: The factor is uniform in [1 - strength, 1 + strength).
    """

    strength: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return _stretched(x, x.mean(1, keepdim=True), self.strength)


@dataclass(frozen=True)
class Contrast:
    """Stretches an image about the mean of all its numbers.

    Attributes:
        strength: The factor is uniform in [1 - strength, 1 + strength).
    """

    strength: float = 0.5

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return _stretched(x, x.mean((1, 2, 3), keepdim=True), self.strength)


@dataclass(frozen=True)
class Translation:
    """Moves an image by whole pixels, and fills with 0 what becomes free.

    Attributes:
        share: Of height and width: the largest move along each, rounded to pixels.

    Raises:
        UsageError: If the share is not in [0, 1].
    """

    share: float = 0.125

    def __post_init__(self) -> None:
        _check_share("translation", self.share)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape; refuses points."""
        height, width = _sides(x, "translation")
        rows, columns = (_moved(x, side, self.share) for side in (height, width))
        # By index: an interpolating sampler has no second derivative, which penalties need.
        framed = pad(x, (1, 1, 1, 1)).movedim(1, -1)
        images = torch.arange(len(x), device=x.device)[:, None, None]
        return framed[images, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


@dataclass(frozen=True)
class Cutout:
    """Sets a rectangle of an image to 0; its middle is anywhere, so that it may stand out.

    Attributes:
        share: Of height and width: the sides of the rectangle, rounded to pixels.

    Raises:
        UsageError: If the share is not in [0, 1].
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        _check_share("cutout", self.share)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape; refuses points."""
        height, width = _sides(x, "cutout")
        rows, columns = (_covered(x, side, self.share) for side in (height, width))
        return x.masked_fill((rows[:, :, None] & columns[:, None, :]).unsqueeze(1), 0.0)


def _check_share(step: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise UsageError(f"augment.steps.{step}.share={share} must lie between 0 and 1")


def _signs(x: Tensor) -> Tensor:
    """A number in [-1, 1) for each image, (B, 1, 1, 1)."""
    return 2 * torch.rand(len(x), 1, 1, 1, dtype=x.dtype, device=x.device) - 1


def _stretched(x: Tensor, middle: Tensor, strength: float) -> Tensor:
    return middle + (1 + strength * _signs(x)) * (x - middle)


def _moved(x: Tensor, side: int, share: float) -> Tensor:
    """Where the rows of each moved image come from, (B, side), in an image with a frame of 1."""
    reach = _pixels(side, share)
    move = torch.randint(-reach, reach + 1, (len(x), 1), device=x.device)
    return (torch.arange(1, side + 1, device=x.device) + move).clamp(0, side + 1)


def _covered(x: Tensor, side: int, share: float) -> Tensor:
    """Which rows of each image lie under a bar of `share` of the side, (B, side)."""
    size = _pixels(side, share)
    start = torch.randint(side + 1 - size % 2, (len(x), 1), device=x.device) - size // 2
    place = torch.arange(side, device=x.device)
    return (start <= place) & (place < start + size)


def _pixels(side: int, share: float) -> int:
    return int(side * share + 0.5)


def _sides(x: Tensor, name: str) -> tuple[int, int]:
    height, width = x.shape[-2:]
    if min(height, width) == 1:
        raise UsageError(
            f"model.augment: {name} moves or blanks pixels, and points (1, 1, {width}) have "
            f"coordinates in their place; leave it out with model.augment.steps.{name}=null"
        )
    return height, width
