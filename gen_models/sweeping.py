"""A sweep that is told to end: all of its jobs save and end, and one command goes on with all.

Jobs may run beside one another, in processes that only their launcher knows. So the sweep's own
process leaves word in the sweep's folder, and each job looks there: it does not begin, or ends as a
run does at a signal. A signal that reaches one job alone ends that job alone.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from gen_models.errors import Interrupted
from gen_models.records.files import write_whole

SIGNALS = signal.SIGINT, signal.SIGTERM

WORD = "stop"
"""The file in a sweep's folder that tells its jobs to end; it holds the number of the signal."""

SECONDS = 0.5
"""Between two looks for it."""


@dataclass
class Sweep:
    """What the sweep's own process does at a signal.

    Attributes:
        folder: Of the sweep.
        signal: The first one.
    """

    folder: Path
    signal: int | None = None

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        """Leave word for the jobs, and wait for them; at a second signal, end at once."""
        first, self.signal = self.signal is None, self.signal or number
        if not first:
            raise KeyboardInterrupt
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / WORD, str(number))


_here: list[Sweep] = []
"""The sweep that is of this process, if one is."""


class EndTogether(Callback):
    """Hydra's callback by which a sweep hears Ctrl-C and SIGTERM for all of its jobs."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Listen, and take back the word that an earlier signal has left."""
        sweep = Sweep(Path(config.hydra.sweep.dir).absolute())
        if os.path.isdir(sweep.folder):  # Hydra tells of one that cannot be made, in its turn
            (sweep.folder / WORD).unlink(missing_ok=True)
        _here[:] = [sweep]
        for number in SIGNALS:
            signal.signal(number, sweep)


@contextmanager
def sweeping() -> Iterator[None]:
    """Around the program: say how to go on with a sweep that was told to end.

    Raises:
        SystemExit: With 130 or 143, if one was.
    """
    try:
        yield
    finally:
        for sweep in _here:
            if sweep.signal is not None:
                from gen_models.resuming import again  # late: it wants torch

                command = shlex.join(["python", "run.py", *sys.argv[1:]])
                print(f"Go on with: {again(command, 'hydra.sweep.dir', sweep.folder)}", flush=True)
                raise SystemExit(128 + sweep.signal)


def of_sweep(folder: Path, work: Callable[[], None]) -> None:
    """Do a job of a sweep; not, if the sweep was told to end, and then as a run ends at a signal.

    Args:
        folder: Of the sweep.
        work: The job.

    Raises:
        Interrupted: If a signal ended this job alone; launchers would end the others at SystemExit.
    """
    word, done = folder / WORD, threading.Event()
    if word.exists():
        return
    if not _here and threading.current_thread() is threading.main_thread():
        for each in SIGNALS:  # Ctrl-C reaches all processes, but what counts is the word
            signal.signal(each, signal.SIG_IGN)
    threading.Thread(target=_listen, args=(word, done), daemon=True).start()
    try:
        work()
    except SystemExit as end:
        number = end.code - 128 if isinstance(end.code, int) else 0
        if number not in SIGNALS:
            raise
        for sweep in _here:
            if sweep.signal is None:
                sweep(number)
        if not word.exists():
            name = signal.Signals(number).name
            raise Interrupted(f"a job was ended by {name}: go on with resume=true") from None
    finally:
        done.set()


def _listen(word: Path, done: threading.Event) -> None:
    """Pass the word on to this process, as soon as it hears signals and has not heard one."""
    while not done.wait(SECONDS):
        handler: Any = signal.getsignal(signal.SIGTERM)
        hears = callable(handler) and not isinstance(handler, Sweep)
        if hears and getattr(handler, "signal", None) is None and word.exists():
            with suppress(OSError, ValueError):
                os.kill(os.getpid(), int(word.read_text()))
                return
