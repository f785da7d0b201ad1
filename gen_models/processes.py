"""The processes of a run on several devices: which this is, and what each tells the others.

A process that runs alone is the first of one, and everything here is then done with without torch's
distributed package.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch.utils._pytree import tree_map_only

from gen_models.errors import UsageError

T = TypeVar("T")

PATIENCE = timedelta(days=7)
"""How long a process waits for the others: while the first one measures, for hours."""


def rank() -> int:
    """Which process this is, counted from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """How many processes the run has."""
    return dist.get_world_size() if dist.is_initialized() else 1


def share(total: int) -> range:
    """This process's part of `total` things in a row; parts differ by one at most."""
    return range(total * rank() // count(), total * (rank() + 1) // count())


def gathered(make: Callable[[], T]) -> list[T]:
    """What each process makes, in their order, known to all of them; its tensors on the CPU.

    Raises:
        UsageError: In all processes, if it was raised in one.
    """
    if count() == 1:
        return [make()]
    mine: Any
    try:
        mine = tree_map_only(torch.Tensor, torch.Tensor.cpu, make())
    except UsageError as error:
        mine = error
    found: list[Any] = [None] * count()
    dist.all_gather_object(found, mine)
    for each in found:
        if isinstance(each, UsageError):
            raise each
    return found


def by_first(make: Callable[[], T]) -> T:
    """What the first process makes while the others wait, known to all of them.

    Raises:
        UsageError: In all processes, if it was raised in the first.
    """
    return cast(T, gathered(lambda: make() if rank() == 0 else None)[0])


def largest(number: int) -> int:
    """The largest of the processes' numbers."""
    if count() == 1:
        return number
    held = torch.tensor(number)
    dist.all_reduce(held, dist.ReduceOp.MAX)
    return int(held)


def first() -> bool:
    """Whether this is the process that writes files and tells the user."""
    return rank() == 0


def join(gpu: bool) -> None:
    """Meet the other processes, by what torchrun or `launching` has put into the environment.

    Others than the first keep their warnings to themselves.

    Args:
        gpu: Whether each has a GPU of its own.
    """
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    if not first():
        warnings.simplefilter("ignore")
    if "OMP_NUM_THREADS" not in os.environ:
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // here))
