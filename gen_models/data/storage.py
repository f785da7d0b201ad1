"""Where the images of a data set lie: in memory, or in a file that the system pages in and out.

Either way they are a tensor, and a batch is one index_select: the same order gives the same batches
bit for bit. The file has no name, so that nothing is left of it, whatever ends the process.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Literal

import numpy as np
import torch
from torch import Tensor

from gen_models.caches import default_folder
from gen_models.data.images import ImageSet
from gen_models.data.memory import enough_memory, free_memory
from gen_models.errors import UsageError

InMemory = bool | Literal["auto"]
"""An option: True, False, or "auto": whether there is room, free memory decides."""

PART_BYTES = 2**24
"""How much of a file is held in memory while it is written or read."""

COPIES = 2
"""Of the images, while they are split: as they were loaded, and as the splits hold them."""


def check_in_memory(option: InMemory) -> InMemory:
    """The option itself.

    Raises:
        UsageError: If there is no such choice.
    """
    if option not in (True, False, "auto"):
        raise UsageError(f"data.in_memory={option!r} must be one of auto, true, false")
    return option


@dataclass(frozen=True)
class Storage:
    """A place for images.

    Attributes:
        folder: On the disk that holds them; None: they are in memory.
    """

    folder: Path | None = None

    @classmethod
    def of(cls, in_memory: InMemory, size: int) -> Storage:
        """The place for so many bytes of images.

        With `auto` it is memory where they, and the copies that splitting takes, fill no more than
        half of what is free.

        Raises:
            UsageError: If they shall lie on disk, and there is no room or no permission.
        """
        free = free_memory() if in_memory == "auto" else None
        if in_memory is True or (
            in_memory == "auto" and (free is None or COPIES * size <= free / 2)
        ):
            return cls()
        storage = cls(default_folder())
        with storage.told():
            storage._check_room(COPIES * size)
        return storage

    @classmethod
    def by_size(cls, size: int) -> Storage:
        """The place for so many bytes: memory holds a part, and a disk what is larger.

        So memory stays bounded, whatever there is of it.
        """
        return cls() if size <= PART_BYTES else cls(default_folder())

    def empty(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """A tensor to be filled, on the CPU.

        Raises:
            OSError: If the disk has no room for it, or takes no file.
        """
        if self.folder is None:
            return torch.empty(shape, dtype=dtype)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.folder) as file:
            _reserve(file, math.prod(shape) * dtype.itemsize)
            return _mapped(file, shape[0], shape[1:], dtype)

    def _check_room(self, size: int) -> None:
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.folder):
            pass
        free = shutil.disk_usage(self.folder).free
        if free < size:
            raise UsageError(
                f"data: the images take {gigabytes(size)} on disk while they are read, and "
                f"{self.folder} has {gigabytes(free)}; make them smaller with data.image_size, or "
                "name a folder on a larger disk by GEN_MODELS_CACHE"
            )

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell of a disk that cannot be written to in one line."""
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"data: images cannot be kept in {self.folder} ({error.strerror}); name a folder "
                "on another disk by GEN_MODELS_CACHE, or keep them in memory with "
                "data.in_memory=true"
            ) from error

    def join(self, parts: Iterable[Tensor]) -> Tensor:
        """Images one behind the other.

        Args:
            parts: (N_i, C, H, W) each, one at least; C = 1 among others takes on their channels.

        Returns:
            (N, C, H, W), on the CPU.

        Raises:
            UsageError: If the disk cannot be written to.
        """
        if self.folder is None:
            held = list(parts)
            channels = max(part.shape[1] for part in held)
            return torch.cat([part.expand(-1, channels, -1, -1) for part in held])
        with self.told():
            return self._join_on_disk(iter(parts))

    def _join_on_disk(self, parts: Iterator[Tensor]) -> Tensor:
        count, first = 0, next(parts)
        shape = first.shape[1:]
        with tempfile.TemporaryFile(dir=self.folder) as file:
            for part in chain([first], parts):
                if part.shape[1] > shape[0]:
                    there = _mapped(file, count, shape, first.dtype)
                    wider = (p.expand(-1, part.shape[1], -1, -1) for p in in_parts(there))
                    return self._join_on_disk(chain(wider, [part], parts))
                count += len(part)
                file.write(part.expand(-1, shape[0], -1, -1).contiguous().numpy().data)
            return _mapped(file, count, shape, first.dtype)

    def subset(self, images: ImageSet, rows: Tensor) -> ImageSet:
        """As `ImageSet.subset`, and the copy lies here."""
        if self.folder is None:
            return images.subset(rows)
        size = part_length(images.images)
        joined = self.join(images.images[part] for part in rows.split(size))
        labels = None if images.labels is None else images.labels[rows]
        return ImageSet(joined, labels, images.classes)

    def placed(self, images: Tensor, device: torch.device) -> Tensor:
        """The images where batches are cut from: on the device, unless they lie on disk.

        Raises:
            UsageError: If they do not fit on the device.
        """
        if self.folder is not None:
            return images
        with enough_memory():
            return images.to(device)


MEMORY = Storage()


def _reserve(file: IO[bytes], size: int) -> None:
    """Take room on the disk now: where it ran out later, a write to the mapping would be fatal."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def _mapped(file: IO[bytes], count: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """What has been written, as a tensor (count, *shape) that the system reads when it is asked."""
    if not count:
        return torch.empty(0, *shape, dtype=dtype)
    file.flush()
    kind = torch.empty(0, dtype=dtype).numpy().dtype
    # Shared, because a private mapping counts as memory of the process's own.
    return torch.from_numpy(np.memmap(file, kind, mode="r+", shape=(count, *shape)))


def part_length(images: Tensor) -> int:
    """How many images like these fill a part."""
    return max(1, PART_BYTES // (images[0:1].numel() or 1) // images.element_size())


def in_parts(images: Tensor) -> tuple[Tensor, ...]:
    """The images (N, C, H, W) in parts that memory holds easily."""
    return images.split(part_length(images))


def gigabytes(size: int) -> str:
    """Bytes for people.

    Example:
        >>> gigabytes(2_940_000_000_000)
        '2,940.0 GB'
    """
    return f"{size / 1e9:,.1f} GB"
