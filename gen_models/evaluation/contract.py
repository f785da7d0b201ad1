"""What an image is to this package: 8 bits a value, or floats in [0, 1] rounded to 8 bits."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, uint8

from gen_models.data.ranges import to_bytes
from gen_models.errors import UsageError


class Intake(NamedTuple):
    """Images as they are compared.

    Attributes:
        images: Bytes (N, C, H, W).
        clamped: How many values lay outside [0, 1] and were moved to its end.
    """

    images: Tensor
    clamped: int


def as_bytes(images: Tensor, first: int = 0) -> Intake:
    """Take images in: bytes as they are, floats rounded to the nearest of 256 levels.

    Args:
        images: (N, C, H, W), uint8, or float nominally in [0, 1].
        first: The number of the first image, for the error.

    Raises:
        UsageError: If they are no images, or a value is not finite: it has no byte.

    Example:
        >>> import torch
        >>> as_bytes(torch.tensor([-0.1, 0.5, 0.999, 1.0]).view(1, 1, 2, 2)).clamped
        1
    """
    if images.ndim != 4:
        raise UsageError(f"images have shape (N, C, H, W), these {tuple(images.shape)}")
    if images.dtype == uint8:
        return Intake(images, 0)
    if not images.is_floating_point():
        raise UsageError(f"images are uint8 or float in [0, 1], these {images.dtype}")
    finite = images.isfinite().flatten(1).all(1)
    if not finite.all():
        index = first + int((~finite).nonzero()[0])
        raise UsageError(
            f"the model's samples are not finite (the first is number {index}): it has diverged"
        )
    outside = (images < 0) | (images > 1)
    return Intake(to_bytes(images), int(outside.sum()))
