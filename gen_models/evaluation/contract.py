"""What an image is to this package: 8 bits a value, or a float where the data are floats.

Floats from a model of images in bytes are rounded to 8 bits; where the data are floats, as points
in the plane are, nothing is rounded and nothing clamped.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gen_models.data.ranges import to_bytes, to_pixels
from gen_models.errors import NotFinite, UsageError


class Intake(NamedTuple):
    """Images as they are compared.

    Attributes:
        images: (N, C, H, W): bytes, or float32 where the data are.
        clamped: How many values lay outside [0, 1] and were moved to its end.
    """

    images: Tensor
    clamped: int


def take_in(images: Tensor, dtype: torch.dtype, first: int = 0) -> Intake:
    """Take images in as data of a type are: `as_bytes` for bytes, `as_floats` for floats.

    Args:
        images: (N, C, H, W), uint8, or float nominally in [0, 1].
        dtype: Of the data, torch.uint8 or torch.float32.
        first: The number of the first image, for the error.

    Raises:
        UsageError: If they are no images, or a value is not finite.
    """
    return as_bytes(images, first) if dtype == torch.uint8 else as_floats(images, first)


def as_bytes(images: Tensor, first: int = 0) -> Intake:
    """Take images in: bytes as they are, floats rounded to the nearest of 256 levels.

    Args:
        images: (N, C, H, W), uint8, or float nominally in [0, 1].
        first: The number of the first image, for the error.

    Raises:
        UsageError: If they are no images, or a value is not finite: it has no byte.

    Example:
        >>> as_bytes(torch.tensor([-0.1, 0.5, 0.999, 1.0]).view(1, 1, 2, 2)).clamped
        1
    """
    check_images(images, first)
    if images.dtype == torch.uint8:
        return Intake(images, 0)
    outside = (images < 0) | (images > 1)
    return Intake(to_bytes(images), int(outside.sum()))


def as_floats(images: Tensor, first: int = 0) -> Intake:
    """Take images in as float32, neither rounded nor clamped; bytes become their pixels.

    Args:
        images: (N, C, H, W), uint8, or float nominally in [0, 1].
        first: The number of the first image, for the error.

    Raises:
        UsageError: If they are no images, or a value is not finite.
    """
    pixels = to_pixels(images) if images.dtype == torch.uint8 else images
    check_images(pixels, first)
    return Intake(pixels.to(torch.float32), 0)


def check_images(images: Tensor, first: int) -> None:
    """Refuse what is no image; arguments and errors are those of `take_in`."""
    if images.ndim != 4:
        raise UsageError(f"images have shape (N, C, H, W), these {tuple(images.shape)}")
    if images.dtype == torch.uint8:
        return
    if not images.is_floating_point():
        raise UsageError(f"images are uint8 or float in [0, 1], these {images.dtype}")
    finite = images.isfinite().flatten(1).all(1)
    if not finite.all():
        index = first + int((~finite).nonzero()[0])
        raise NotFinite(
            f"the model's samples are not finite (the first is number {index}): it has diverged"
        )
