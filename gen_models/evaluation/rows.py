"""Rows, one an image: few lie in memory, many in a file that the system pages in and out.

All that grows with the number of samples is made here, a part at a time, so that the memory of an
evaluation does not grow with it. What is no larger than a part is made at once and lies in memory.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from gen_models.data.memory import free_memory
from gen_models.data.storage import Storage, part_length

log = logging.getLogger(__name__)


class Rows:
    """Rows that come in batches, each put where it belongs: joining them would take twice the room.

    Args:
        count: How many there will be.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._rows: Tensor | None = None
        self._filled = 0

    def add(self, part: Tensor | None) -> None:
        """Put the next rows (n, ...); None where there are none of this kind at all."""
        if part is None:
            return
        if self._rows is None:
            self._rows = empty((self.count, *part.shape[1:]), part)
        self._rows[self._filled : self._filled + len(part)] = part
        self._filled += len(part)

    @property
    def rows(self) -> Tensor | None:
        """All of them, (count, ...); None where there are none of this kind."""
        assert self._rows is None or self._filled == self.count
        return self._rows

    def all(self) -> Tensor:
        """All of them, (count, ...)."""
        assert self.rows is not None
        return self.rows


def empty(shape: Sequence[int], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor to be filled; on the CPU it lies on disk where it is larger than a part.

    A disk that does not take it is told of once, and memory takes its place where there is room.

    Args:
        shape: Of the tensor.
        like: Gives the device, and the type if there is no `dtype`.
        dtype: Of the tensor.

    Raises:
        MemoryError: If neither disk nor memory has room.
    """
    dtype = dtype or like.dtype
    if like.device.type != "cpu":
        return like.new_empty(tuple(shape), dtype=dtype)
    size = math.prod(shape) * dtype.itemsize
    storage = Storage.by_size(size)
    try:
        return storage.empty(*shape, dtype=dtype)
    except OSError as error:
        assert storage.folder is not None
        _tell(storage.folder, error.strerror)
        free = free_memory()
        if free is not None and 2 * size > free:
            raise MemoryError from error
        return torch.empty(*shape, dtype=dtype)


@cache
def _tell(folder: Path, reason: str) -> None:
    log.warning(
        "evaluation: samples and features cannot lie in %s (%s), so that memory has to hold them; "
        "name a folder on another disk by GEN_MODELS_CACHE, or lower evaluation.samples",
        folder,
        reason,
    )


def each(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """What a function of rows makes of all rows, a part at a time.

    Args:
        function: Maps rows (n, ...) of every input to n rows, each of its own row alone.
        *inputs: (N, ...) each; the rows of the first say how many fill a part.

    Returns:
        (N, ...).
    """
    made = Rows(len(inputs[0]))
    length = part_length(inputs[0])
    for parts in zip(*(rows.split(length) for rows in inputs), strict=True):
        made.add(function(*parts))
    return made.all()


def taken(rows: Tensor, order: Tensor) -> Tensor:
    """The rows (N, ...) with these indices (M,), which may lie on another device."""
    made = Rows(len(order))
    for part in order.split(part_length(rows)):
        made.add(rows[part.to(rows.device)])
    return made.all()


def joined(*parts: Tensor) -> Tensor:
    """Rows (N_i, ...) one behind the other."""
    made = Rows(sum(map(len, parts)))
    for part in parts:
        made.add(part)
    return made.all()


def shuffle(count: int, seed: int) -> Tensor:
    """The numbers below `count` at random, (count,), on the CPU; always the same for a seed."""
    order = empty((count,), torch.empty(0, dtype=torch.long))
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed), out=order)


def chosen(rows: Tensor, count: int) -> Tensor:
    """So many rows at random, but always the same: images may be sorted by class."""
    return taken(rows, shuffle(len(rows), seed=0)[:count])
