"""The processes of a run on several devices: how they start, and what each tells the others.

A process that runs alone is the first of one, and everything here is then done with without torch's
distributed package.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import ProcessExitedException, start_processes

from gen_models.errors import UsageError

T = TypeVar("T")

PATIENCE = timedelta(days=7)
"""How long a process waits for the others: while the first one measures, for hours."""

SIGNALS = signal.SIGINT, signal.SIGTERM


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
    """What each process makes, in their order, known to all of them.

    Raises:
        UsageError: In all processes, if it was raised in one.
    """
    if count() == 1:
        return [make()]
    mine: Any
    try:
        mine = make()
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


def started() -> bool:
    """Whether torchrun has started this process, as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def join(gpu: bool) -> None:
    """Meet the other processes, by what torchrun or `launch` has put into the environment.

    Args:
        gpu: Whether each has a GPU of its own.
    """
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    if "OMP_NUM_THREADS" not in os.environ:
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // here))


def launch(
    work: Callable[..., object],
    arguments: Sequence[Any],
    processes: int,
    method: str = "spawn",
) -> None:
    """Do the same work in several new processes, which can `join`, and wait for their end.

    Signals that end a program are passed on to all of them. Where one fails, all end.

    Args:
        work: A function of a module; called with the arguments in each process.
        arguments: Picklable.
        processes: How many.
        method: How Python starts them: "spawn"; or "fork", which is fast, and safe only where no
            thread is at work and no GPU in use.

    Raises:
        UsageError: If one process has raised it.
        SystemExit: If one process has.
        torch.multiprocessing.ProcessRaisedException: With the traceback, if one raised another
            error.
    """
    # The store lies here, on a port that is free: no process can come too early, or too late.
    store = dist.TCPStore(  # type: ignore[attr-defined]
        "127.0.0.1", 0, is_master=True, wait_for_workers=False
    )
    told = get_context(method).SimpleQueue()
    context = start_processes(
        _process,
        (processes, store.port, told, work, tuple(arguments)),
        processes,
        join=False,
        start_method=method,
    )

    def pass_on(number: int, frame: FrameType | None) -> None:
        for process in context.processes:
            if process.is_alive():
                os.kill(process.pid, number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    _handle(dict.fromkeys(SIGNALS, pass_on))
    try:
        while not context.join():
            pass
    except ProcessExitedException as error:
        if not told.empty():
            raise UsageError(told.get()) from None
        if error.exit_code > 0:
            raise SystemExit(error.exit_code) from None
        raise
    finally:
        _handle(before)


def _handle(handlers: Mapping[signal.Signals, Any]) -> None:
    if threading.current_thread() is threading.main_thread():  # no other may
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _process(
    place: int,
    processes: int,
    port: int,
    told: Any,
    work: Callable[..., object],
    arguments: tuple[Any, ...],
) -> None:
    os.setsid()  # Ctrl-C reaches the process that waits for this one, and once, by `pass_on`
    os.environ |= {
        "RANK": str(place),
        "LOCAL_RANK": str(place),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    try:
        work(*arguments)
    except UsageError as error:
        told.put(str(error))
        raise SystemExit(2) from None
    if dist.is_initialized():
        dist.destroy_process_group()
