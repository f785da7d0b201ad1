"""Real images made worse by known amounts: a scale on which any distance can be read.

A squared feature unit means nothing by itself, and another in the next extractor. "As far away as
real images with noise of deviation 0.1" means the same by all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy
import torch
from torch import Tensor

from gen_models.data.ranges import stored_as, to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation.rows import Rows

Ladder = Sequence[tuple[float, float]]

LEVELS: dict[str, tuple[float, ...]] = {
    # Standard deviation, of pixels in [0, 1].
    "noise": (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
    # Standard deviation, in pixels of length; below 0.4 the neighbours weigh less than a byte.
    "blur": (0.0, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 4.0),
}
"""Levels of each kind of corruption, from none upwards."""


def corrupted(images: Tensor, kind: str, level: float, seed: int = 0) -> Tensor:
    """Images with noise or blur, rounded to bytes again; floats are neither rounded nor clamped.

    Noise is Gaussian, added to each value; of bytes, what leaves [0, 1] is clamped. Its draws are
    the same at every level, so that a ladder climbs evenly. Blur is a Gaussian window that is cut
    off at the edges of the image and scaled to a sum of 1.

    Args:
        images: (N, C, H, W), uint8 or float32.
        kind: "noise" or "blur".
        level: Standard deviation, >= 0: of pixels in [0, 1] for noise, in pixels for blur.
        seed: Of the noise.

    Returns:
        (N, C, H, W), of the same type and on the same device; the images themselves at level 0.

    Raises:
        UsageError: If there is no such kind, the level is negative, or points should be blurred.
    """
    if kind not in LEVELS or not level >= 0:
        raise UsageError(
            f"corruption {kind} at level {level}: choose {' or '.join(LEVELS)}, at 0 or more"
        )
    if kind == "blur" and images.shape[-2] == 1:
        raise UsageError(
            "coordinates of points have no neighbours to be blurred with: ladder=noise"
        )
    if level == 0:
        return images
    stream = numpy.random.Philox(key=seed)

    def worse(pixels: Tensor) -> Tensor:
        return noisy(pixels, level, stream) if kind == "noise" else blurred(pixels, level)

    # A thousand at a time: float64 takes eight times the memory of the bytes.
    made = Rows(len(images))
    for part in images.split(1000):
        made.add(stored_as(worse(to_pixels(part.cpu()).double()), images.dtype))
    return made.all().to(images.device)


def noisy(pixels: Tensor, deviation: float, stream: numpy.random.Philox) -> Tensor:
    """Pixels of any shape plus N(0, deviation^2), float64, not clamped."""
    from scipy.special import ndtri

    # numpy keeps the raw bits the same between versions, not what its samplers make of them.
    bits = (stream.random_raw(pixels.numel()) >> numpy.uint64(11)).astype(numpy.float64)
    normal = torch.from_numpy(ndtri((bits + 0.5) / 2**53))
    return pixels + deviation * normal.view(pixels.shape)


def blurred(pixels: Tensor, deviation: float) -> Tensor:
    """Pixels (..., H, W) under a Gaussian window, its deviation in pixels; float64."""

    def window(size: int) -> Tensor:
        place = torch.arange(size, dtype=torch.float64)
        return (-0.5 * ((place[:, None] - place) / deviation).square()).softmax(1)

    height, width = pixels.shape[-2:]
    return window(height) @ pixels.double() @ window(width).T


def equivalent_level(distance: float, ladder: Ladder) -> float:
    """The level of corruption that is as far from the real images as the samples are.

    Linear interpolation of the square root of the distance, which grows about in proportion to the
    level. A rung that is no higher than one below it, as chance may make it, is left out, so that
    a greater distance never has a smaller level.

    Args:
        distance: Squared units of the ladder's distances; below 0 counts as 0.
        ladder: Pairs (level, distance) by rising level, the first at level 0.

    Returns:
        A level: 0 up to the distance of the first rung, that of the highest rung from there on
        (`off_ladder` tells that case).

    Raises:
        UsageError: If the levels do not rise from 0.

    Example:
        >>> equivalent_level(4.0, [(0.0, 1.0), (0.1, 9.0)])
        0.05
    """
    levels, roots = _rungs(ladder)
    return float(numpy.interp(max(distance, 0.0) ** 0.5, roots, levels))


def off_ladder(distance: float, ladder: Ladder) -> bool:
    """Whether the distance is greater than any on the ladder: its level is a lower bound."""
    return max(distance, 0.0) ** 0.5 > _rungs(ladder)[1][-1]


def _rungs(ladder: Ladder) -> tuple[list[float], list[float]]:
    """Levels, and roots of distances, of the rungs that are higher than all below them."""
    levels = [level for level, _ in ladder]
    if not levels or levels[0] != 0 or sorted(set(levels)) != levels:
        raise UsageError(f"the levels of a ladder must rise from 0, not be {levels}")
    kept: list[tuple[float, float]] = []
    for level, distance in ladder:
        root = max(distance, 0.0) ** 0.5
        if not kept or root > kept[-1][1]:
            kept.append((level, root))
    return [level for level, _ in kept], [root for _, root in kept]
