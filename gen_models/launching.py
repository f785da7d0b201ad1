"""How the processes of a run on several devices start and end."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import ProcessException, ProcessExitedException, start_processes

from gen_models.config import explain
from gen_models.errors import Diverged, UsageError
from gen_models.processes import join

Failed = ProcessException
"""A process of `launch` has raised an error, or was killed; the last line says what."""

GRACE = 5.0
"""Seconds in which the others end by themselves once one has failed, and as many after SIGTERM."""

SIGNALS = signal.SIGINT, signal.SIGTERM


def on_gpu(trainer: Mapping[str, Any]) -> bool:
    """Whether a trainer of these options uses GPUs of CUDA."""
    accelerator = trainer.get("accelerator", "auto")
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def wanted(trainer: Mapping[str, Any]) -> int:
    """How many processes a trainer of these options asks for: one a device, on all its machines.

    Example:
        >>> wanted({"accelerator": "cpu", "devices": 2})
        2
        >>> wanted({"accelerator": "cpu", "devices": "auto"})
        1
    """
    devices: Any = trainer.get("devices", "auto")
    if devices in ("auto", "-1", -1):
        here = torch.cuda.device_count() if on_gpu(trainer) else 1
    elif isinstance(devices, int):
        here = devices
    elif str(devices).isdecimal():  # Lightning takes "2" for two devices,
        here = int(devices)
    else:  # "0,1" or [0, 1] for these two, and "1," for this one
        here = sum(bool(part.strip()) for part in str(devices).split(","))
    return here * int(trainer.get("num_nodes", 1))


def everywhere(work: Callable[..., object], trainer: Mapping[str, Any], *arguments: Any) -> None:
    """Do the same work in as many processes as a trainer has devices: here, where it is one.

    Several are started here, unless torchrun has done so.

    Args:
        work: A function of a module, called with the arguments in each process.
        trainer: The options of the trainer.
        *arguments: Picklable.

    Raises:
        UsageError: If torchrun has started another number, or one process has raised it; from
            `Failed`, if it was another error that `explain` knows, such as a full disk.
        Diverged: If one process has raised it.
        SystemExit: If one process has.
        Failed: With the traceback, if one raised another error, or was killed.
    """
    number = wanted(trainer)
    given = int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else None
    if given not in (None, number):
        raise UsageError(
            f"torchrun has started {given} processes, and trainer.devices on trainer.num_nodes ask "
            f"for {number}: make them the same"
        )
    if given is None and trainer.get("num_nodes", 1) != 1:
        raise UsageError("trainer.num_nodes: a run on several machines is started by torchrun")
    if number <= 1:
        work(*arguments)
    elif given is None:
        launch(partial(_joined, work, on_gpu(trainer)), arguments, number)
    else:
        _joined(work, on_gpu(trainer), *arguments)


def _joined(work: Callable[..., object], gpu: bool, *arguments: Any) -> None:
    join(gpu)
    work(*arguments)


def launch(work: Callable[..., object], arguments: Sequence[Any], processes: int) -> None:
    """Do the same work in new processes, which may `join`; arguments and errors as `everywhere`.

    Signals that end a program are passed on to all of them. Where one fails, all end.
    """
    # The store lies here, on a port that is free: no process can come too early, or too late.
    store = dist.TCPStore(  # type: ignore[attr-defined]
        "127.0.0.1", 0, is_master=True, wait_for_workers=False
    )
    # Forked from a server that has imported all and done nothing: quick, and safe with GPUs.
    python = get_context("forkserver")
    python.set_forkserver_preload(["gen_models.app"])
    told = python.SimpleQueue()
    context = start_processes(
        _process,
        (processes, store.port, told, work, tuple(arguments)),
        processes,
        join=False,
        start_method="forkserver",
    )

    def pass_on(number: int, frame: FrameType | None) -> None:
        for process in context.processes:
            if process.is_alive():
                os.kill(process.pid, number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    _handle(dict.fromkeys(SIGNALS, pass_on))
    try:
        while not context.join(grace_period=GRACE):
            pass
    except ProcessExitedException as error:
        if not told.empty():
            mistake, trace = told.get()
            if trace is None:
                raise mistake from None
            mistake.add_note(trace)  # for those who want tracebacks: its own stayed over there
            raise mistake from error
        code = error.exit_code
        if code > 0 or -code in SIGNALS:
            raise SystemExit(code if code > 0 else 128 - code) from None
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
    except (UsageError, Diverged) as error:
        told.put((error, None))
        raise SystemExit(1) from None
    except Exception as error:
        if (line := explain(error)) is None:
            raise
        told.put((UsageError(line), traceback.format_exc()))
        raise SystemExit(1) from None
    if dist.is_initialized():
        dist.destroy_process_group()
