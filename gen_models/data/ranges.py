"""Bytes, pixels and scaled pixels: the only place where images change their range.

Three ranges have names, and nothing else is converted anywhere. *Bytes* are uint8 in 0..255, as
images are stored. *Pixels* are float32 in [0, 1], as images are compared; data that are no bytes,
such as points in the plane, are stored as pixels, and may leave [0, 1]. *Scaled* images are what a
network sees, and `Scaler` leads there and back.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gen_models.errors import UsageError

WHITE = 255
"""The byte of a pixel that is 1."""


def to_pixels(images: Tensor) -> Tensor:
    """Stored images as pixels: bytes as x / 255, floats as they are.

    Args:
        images: Any shape, uint8, or float32 nominally in [0, 1].

    Returns:
        The same shape, float32.

    Example:
        >>> to_pixels(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist()
        [0.0, 0.20000000298023224, 1.0]
    """
    if images.dtype == torch.float32:
        return images
    assert images.dtype == torch.uint8, f"bytes or float32 expected, got {images.dtype}"
    return images.to(torch.float32) / WHITE


def to_bytes(pixels: Tensor) -> Tensor:
    """Pixels as the nearest bytes; what lies outside [0, 1] is clamped.

    Truncation would darken every image by half a step on average, which distances between feature
    distributions notice. NaN has no byte: a caller that may hold one looks for it first.

    Args:
        pixels: Any shape, float, nominally in [0, 1].

    Returns:
        The same shape, uint8.

    Example:
        >>> to_bytes(torch.tensor([-0.01, 0.5, 0.999, 1.2])).tolist()
        [0, 128, 255, 255]
    """
    assert pixels.is_floating_point(), f"pixels expected, got {pixels.dtype}"
    # Half precision cannot hold every integer up to 255 times a fraction, so it is widened first.
    return (pixels.to(torch.float32) * WHITE).round().clamp(0, WHITE).to(torch.uint8)


def quantise(pixels: Tensor) -> Tensor:
    """Pixels rounded to the 256 levels a stored image can have.

    Args:
        pixels: Any shape, float, nominally in [0, 1].

    Returns:
        The same shape, float32 in [0, 1], each a multiple of 1/255.

    Example:
        >>> (quantise(torch.tensor([0.501])) * 255).tolist()
        [128.0]
    """
    return to_pixels(to_bytes(pixels))


def stored_as(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Pixels in the form that images of a data set have: `to_bytes`, or float32 as they are.

    Args:
        pixels: Any shape, float, nominally in [0, 1].
        dtype: torch.uint8 or torch.float32.

    Example:
        >>> pixels = torch.tensor([0.5, 1.2])
        >>> stored_as(pixels, torch.uint8).tolist()
        [128, 255]
        >>> stored_as(pixels, torch.float32) is pixels
        True
    """
    return to_bytes(pixels) if dtype == torch.uint8 else pixels.to(torch.float32)


class Scaler(nn.Module):
    """The standard scaler, one mean and one deviation per channel.

    Forward is x = (pixels - mean) / deviation, its exact inverse pixels = mean + deviation * x.
    That inverse is the reparameterisation z = mu + sigma * eps read as data: the same affine map
    carries standard noise to a posterior and scaled pixels to an image, and its log-determinant,
    the sum of log deviation over all pixels, is what a density must add when it changes range.

    Example:
        >>> scaler = Scaler.symmetric(channels=1)
        >>> pixels = torch.tensor([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1)
        >>> scaler(pixels).flatten().tolist()
        [-1.0, 0.0, 1.0]
        >>> scaler.inverse(scaler(pixels)).flatten().tolist()
        [0.0, 0.5, 1.0]
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        """Keep one mean and one deviation per channel.

        Args:
            mean: C numbers, in pixels.
            deviation: C positive numbers, in pixels.

        Raises:
            UsageError: If the lengths differ or are zero, a number is not finite, or a deviation
                is not positive.
        """
        super().__init__()
        if len(mean) != len(deviation) or not mean:
            raise UsageError(
                f"scaler: mean has {len(mean)} channels and deviation {len(deviation)}; "
                "give one number per channel in both"
            )
        if not all(math.isfinite(value) for value in mean):
            raise UsageError(f"scaler: mean={list(mean)} must be finite in every channel")
        if not all(math.isfinite(value) and value > 0 for value in deviation):
            raise UsageError(
                f"scaler: deviation={list(deviation)} must be positive and finite in every channel"
            )
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(-1, 1, 1))
        self.register_buffer(
            "deviation", torch.tensor(deviation, dtype=torch.float32).reshape(-1, 1, 1)
        )

    @classmethod
    def unit(cls, channels: int) -> "Scaler":
        """The identity: x in [0, 1]."""
        return cls([0.0] * channels, [1.0] * channels)

    @classmethod
    def symmetric(cls, channels: int) -> "Scaler":
        """Mean and deviation one half: x in [-1, 1], the range of tanh."""
        return cls([0.5] * channels, [0.5] * channels)

    @classmethod
    def standard(cls, images: Tensor) -> "Scaler":
        """The scaler that gives these images mean 0 and variance 1 in every channel.

        Args:
            images: (N, C, H, W), uint8 or float32, N > 0.

        Returns:
            A scaler with the channel means and population deviations; a constant channel, which
            has nothing to divide by, gets deviation 1.
        """
        moments = _moments_of_bytes if images.dtype == torch.uint8 else _moments_of_floats
        mean, deviation = zip(*map(moments, images.unbind(dim=1)), strict=True)
        return cls(mean, deviation)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (..., C, H, W) in [0, 1] to x of the same shape."""
        return (pixels - self.mean) / self.deviation

    def inverse(self, x: Tensor) -> Tensor:
        """The images x (..., C, H, W) back as pixels; nothing is clamped."""
        return self.mean + self.deviation * x

    def recipe(self) -> dict[str, Any]:
        """Plain values that rebuild this scaler bit for bit, `_target_` as Hydra reads it.

        Example:
            >>> Scaler.unit(channels=1).recipe()
            {'_target_': 'gen_models.data.ranges.Scaler', 'mean': [0.0], 'deviation': [1.0]}
        """
        return {
            "_target_": "gen_models.data.ranges.Scaler",
            "mean": self.mean.flatten().tolist(),
            "deviation": self.deviation.flatten().tolist(),
        }

    def extra_repr(self) -> str:
        """The numbers, for print."""
        recipe = self.recipe()
        return f"mean={recipe['mean']}, deviation={recipe['deviation']}"


def _moments_of_bytes(channel: Tensor) -> tuple[float, float]:
    # A byte has 256 values, so a histogram holds all there is to know: the moments follow from
    # integer counts in float64, with no float copy of the data and no growing rounding error.
    levels = torch.arange(256, dtype=torch.float64) / WHITE
    counts = torch.zeros(256, dtype=torch.float64)
    for part in channel.split(4096):
        counts += torch.bincount(part.reshape(-1), minlength=256).cpu()
    share = counts / counts.sum()
    centre = (share * levels).sum()
    spread = (share * (levels - centre) ** 2).sum().sqrt()
    return centre.item(), spread.item() if torch.count_nonzero(counts) > 1 else 1.0


def _moments_of_floats(channel: Tensor) -> tuple[float, float]:
    assert channel.dtype == torch.float32, f"bytes or float32 expected, got {channel.dtype}"
    values = channel.cpu().to(torch.float64)
    low, high = values.aminmax()
    return values.mean().item(), values.std(correction=0).item() if low < high else 1.0
