"""Images that any program has drawn, read from its files as they are: nothing is resized."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from gen_models.data.decode import FORMATS, Bytes, Unreadable, first_line, read_images
from gen_models.data.found import EXTENSIONS, images_below
from gen_models.errors import UsageError

Shape = tuple[int, int, int]


def read_samples(place: Path, shape: Shape, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Samples to be measured against data.

    Args:
        place: A folder of image files, at any depth; or an .npz or .npy with one array of images,
            (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or float. Of several arrays in an .npz
            the one called `arr_0` is meant, as in ADM's files.
        shape: (C, H, W) of the data. Grey samples stand for coloured ones, and coloured ones whose
            channels are equal for grey ones.
        dtype: Of the data: torch.uint8, or torch.float32 for data that are none, which no folder
            can hold.

    Returns:
        (N, C, H, W), uint8, or float32 in [0, 1]; floats of any value where the data are floats.

    Raises:
        UsageError: If there are no images, one cannot be read, or they are not of that shape or
            range.
    """
    if place.is_dir():
        return _folder(place, shape)
    if place.suffix.lower() not in (".npz", ".npy"):
        raise UsageError(f"--samples {place}: give a folder of images, an .npz or an .npy")
    values = _array(place)
    images = _channels_first(values, shape[1:], place)
    if images.dtype != np.uint8:
        _check_floats(images, place, bounded=dtype == torch.uint8)
        images = images.astype(np.float32)
    return torch.from_numpy(_with_channels(images, shape[0], str(place)))


def _folder(folder: Path, shape: Shape) -> Tensor:
    paths = images_below(folder)
    if not paths:
        raise UsageError(
            f"--samples {folder}: no images in this folder; accepted are {' '.join(EXTENSIONS)}"
        )
    _check_sizes(paths, shape, folder)
    made: list[Bytes] = []
    for path, image in zip(paths, read_images(paths, shape[1:]), strict=True):
        if isinstance(image, Unreadable):
            raise UsageError(f"--samples {folder}: {path.name} cannot be read ({image.reason})")
        made.append(_with_channels(image[None], shape[0], str(path))[0])
    return torch.from_numpy(np.stack(made))


def _check_sizes(paths: list[Path], shape: Shape, folder: Path) -> None:
    """Refuse images of another size by their headers, before anything is decoded."""
    sizes: Counter[tuple[int, int]] = Counter()
    for path in paths:
        with suppress(Exception), Image.open(path, formats=FORMATS) as image:
            sizes[image.height, image.width] += 1
    other = [size for size in sizes if size != shape[1:]]
    if other:
        raise _another_size(other[0], shape[1:], f"{folder}: {sizes[other[0]]} images")


def _another_size(found: tuple[int, ...], wanted: tuple[int, ...], whose: str) -> UsageError:
    return UsageError(
        f"--samples {whose} are {' x '.join(map(str, found))}, the data "
        f"{' x '.join(map(str, wanted))}; resizing moves a score, so choose data of the samples' "
        f"size (data.image_size=[{','.join(map(str, found))}]) or draw samples of the data's"
    )


def _array(path: Path) -> npt.NDArray[np.generic]:
    try:
        with path.open("rb") as stream:  # numpy leaves a broken file open
            held = np.load(stream, allow_pickle=False)
            if isinstance(held, np.ndarray):
                return held
            entries = {name: held[name] for name in held.files}
    except FileNotFoundError:
        raise UsageError(f"--samples {path}: there is no such file") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise UsageError(f"--samples {path}: cannot be read ({first_line(error)})") from None
    # Any zip file opens, a checkpoint of torch too; what is no array in it comes as bytes.
    arrays = {name: entry for name, entry in entries.items() if isinstance(entry, np.ndarray)}
    images = [name for name, array in arrays.items() if array.ndim in (3, 4)]
    chosen = "arr_0" if "arr_0" in images else images[0] if len(images) == 1 else None
    if chosen is None:
        raise UsageError(
            f"--samples {path}: holds {', '.join(arrays) or 'nothing'}; the images must be its one "
            "array of rank 3 or 4, or be called arr_0"
        )
    return arrays[chosen]


def _channels_first(
    values: npt.NDArray[np.generic], size: tuple[int, ...], path: Path
) -> npt.NDArray[np.generic]:
    """(N, H, W), (N, H, W, C) or (N, C, H, W) as the last."""
    if values.ndim == 3 and values.shape[1:] == size:
        return values[:, None]
    if values.ndim == 4 and values.shape[2:] == size:
        return values
    if values.ndim == 4 and values.shape[1:3] == size:
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    if values.ndim not in (3, 4):
        raise UsageError(f"--samples {path}: images have rank 3 or 4, this is {values.shape}")
    last = values.ndim == 4 and values.shape[3] in (1, 3)
    found = values.shape[1:3] if last else values.shape[-2:]
    raise _another_size(found, size, f"{path}: {len(values)} images")


def _check_floats(images: npt.NDArray[np.generic], path: Path, bounded: bool) -> None:
    if not np.issubdtype(images.dtype, np.floating):
        raise UsageError(
            f"--samples {path}: values are {images.dtype}; give uint8, or floats in [0, 1]"
        )
    finite = np.isfinite(images).reshape(len(images), -1).all(1)
    if not finite.all():
        raise UsageError(f"--samples {path}: image {int((~finite).argmax())} is not finite")
    low, high = float(images.min(initial=0)), float(images.max(initial=0))
    if bounded and not 0 <= low <= high <= 1:
        raise UsageError(
            f"--samples {path}: floats run from {low:.4g} to {high:.4g}; pixels are uint8, or "
            "floats in [0, 1]"
        )


def _with_channels(
    images: npt.NDArray[np.generic], channels: int, whose: str
) -> npt.NDArray[np.generic]:
    """(N, C', H, W) with the data's channels, if that changes no colour."""
    found = images.shape[1]
    if found == channels:
        return images
    if found == 1:
        return np.repeat(images, channels, axis=1)
    if channels == 1 and (images == images[:, :1]).all():
        return images[:, :1]
    raise UsageError(
        f"--samples {whose}: {found} channels, the data have {channels}; make them alike"
    )
