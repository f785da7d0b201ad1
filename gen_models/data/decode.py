"""Image files and stored images to bytes of one size, the same bytes on every machine.

All resizing here is Pillow's antialiased bicubic filter, which works on bytes in fixed-point
arithmetic. Floating-point filters round differently from one instruction set to the next, and one
byte is enough to change the fingerprint of a data set.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from gen_models.errors import UsageError

Bytes = npt.NDArray[np.uint8]
Size = tuple[int, int]

# No other is tried, whatever a file is called: some of Pillow's readers start other programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


class Unreadable(NamedTuple):
    """An image file that could not be read, and why, in one line."""

    path: Path
    reason: str


def _sixteen_to_eight_bits(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips at 255, which turns almost every 16-bit image white.
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"mode {image.mode} with values outside 0..65535 has no defined range")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _refuse(image: Image.Image) -> Image.Image:
    raise ValueError(f"mode {image.mode} has no defined range")


CONVERSIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "1": lambda image: image.convert("L"),
    "I": _sixteen_to_eight_bits,
    "I;16": _sixteen_to_eight_bits,
    "I;16L": _sixteen_to_eight_bits,
    "I;16B": _sixteen_to_eight_bits,
    "I;16N": _sixteen_to_eight_bits,
    "F": _refuse,
}


def standardise(image: Image.Image) -> Image.Image:
    """Any image as `L` or `RGB`, upright and opaque.

    | Found                                | Becomes                                             |
    |--------------------------------------|-----------------------------------------------------|
    | EXIF orientation                     | applied                                             |
    | animation, several pages             | the first frame                                     |
    | `1`, `L`                             | grey                                                |
    | `I;16`, `I`: 16-bit grey             | grey, scaled from 0..65535 to 0..255, not clipped   |
    | `LA`, `L` with a transparent value   | grey, composited on white                           |
    | `RGBA`, `PA`, transparent `P`, `RGB` | RGB, composited on white                            |
    | `P`, `CMYK`, `YCbCr`, `HSV`          | RGB; a palette counts as colour even if it is grey  |
    | `F`: floats, and `I` beyond 16 bits  | refused: nothing says which value is white          |

    Args:
        image: An open Pillow image.

    Returns:
        The image in mode `L` or `RGB`.

    Raises:
        ValueError: If the mode has no defined range, or Pillow cannot convert it.
    """
    image = ImageOps.exif_transpose(image)
    convert = CONVERSIONS.get(image.mode)
    image = image if convert is None else convert(image)
    grey = image.mode in ("L", "LA")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("L" if grey else "RGB")


def read_image(
    path: Path, size: Size, channels: int | None = None, crop: Size | None = None
) -> Bytes:
    """One image file, resized and cropped.

    The image is scaled until it just covers `size`, its shorter side exactly, and what stands out
    of the longer one is cut off evenly on both ends; the two are one resampling step.

    Args:
        path: The file.
        size: (H, W) to return.
        channels: 1 or 3, or None to keep 1 for grey and 3 for colour.
        crop: (H, W) around the centre to keep before anything else, or None for all of it.

    Returns:
        (C, H, W), uint8.

    Raises:
        Exception: Whatever Pillow raises on a broken file; the kinds are many and undocumented.
    """
    with Image.open(path, formats=FORMATS) as opened:
        image = standardise(opened)
    if channels is not None:
        image = image.convert("L" if channels == 1 else "RGB")
    if crop is not None:
        top, left = ((have - keep) // 2 for have, keep in zip(image.size[::-1], crop, strict=True))
        image = image.crop((left, top, left + crop[1], top + crop[0]))
    return _channels_first(_cover(image, size))


def read_images(
    paths: Sequence[Path], size: Size, channels: int | None = None, crop: Size | None = None
) -> list[Bytes | Unreadable]:
    """All these files, several at once, each as an image or as the reason why it is none.

    Args:
        paths: The files.
        size: (H, W) to return.
        channels: As in `read_image`.
        crop: As in `read_image`.

    Returns:
        One entry per path, in the order of the paths.
    """
    read = partial(_read_or_say, size=size, channels=channels, crop=crop)
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        # Remarks on what is no pixel, such as broken EXIF data, name no file and help nobody.
        warnings.simplefilter("ignore")
        # Pillow only warns of an image with more pixels than it thinks safe, up to twice as many.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return list(pool.map(read, paths))


def _read_or_say(
    path: Path, size: Size, channels: int | None, crop: Size | None
) -> Bytes | Unreadable:
    try:
        return read_image(path, size, channels, crop)
    except Exception as error:  # a broken file may raise anything, and must not hide the next one
        return Unreadable(path, first_line(error).replace(str(path), path.name))


def first_line(error: BaseException) -> str:
    r"""An exception in one line, for an error that has to name its cause.

    Example:
        >>> first_line(OSError("broken data stream\nand more"))
        'OSError: broken data stream'
    """
    lines = str(error).strip().splitlines()
    return ": ".join([type(error).__name__, *lines[:1]])


def resize(images: Tensor, size: Size) -> Tensor:
    """Stored images at another size, by the same filter as image files.

    Args:
        images: (N, C, H, W), uint8, C = 1 or 3.
        size: (H', W').

    Returns:
        (N, C, H', W'), uint8; the images themselves if that is their size already.

    Example:
        >>> resize(torch.full((2, 1, 8, 8), 7, dtype=torch.uint8), (4, 6)).unique()
        tensor([7], dtype=torch.uint8)
    """
    if tuple(images.shape[2:]) == size:
        return images
    resized = np.empty((len(images), images.shape[1], *size), dtype=np.uint8)
    for target, source in zip(resized, images.permute(0, 2, 3, 1).numpy(), strict=True):
        image = Image.fromarray(source.squeeze(2) if source.shape[2] == 1 else source)
        target[:] = _channels_first(_cover(image, size))
    return torch.from_numpy(resized)


def _cover(image: Image.Image, size: Size) -> Image.Image:
    return ImageOps.fit(image, (size[1], size[0]), method=Image.Resampling.BICUBIC)


def _channels_first(image: Image.Image) -> Bytes:
    values = np.asarray(image, dtype=np.uint8)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def height_and_width(size: int | Sequence[int]) -> Size:
    """An `image_size` option as (H, W); one number means a square.

    Raises:
        UsageError: If it is neither one positive whole number nor two.

    Example:
        >>> height_and_width(32), height_and_width([24, 32])
        ((32, 32), (24, 32))
    """
    sides = (size, size) if isinstance(size, int) else tuple(size)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or min(sides) < 1:
        raise UsageError(
            f"data.image_size={size} must be a positive whole number or two, [height, width]"
        )
    return sides[0], sides[1]
