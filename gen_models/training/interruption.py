"""Ctrl-C and SIGTERM: finish the step, save, say how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException


@dataclass
class Interruption:
    """Which signal asked for the end, if one did."""

    signal: int | None = None


@contextmanager
def gentle_stop(trainer: pl.Trainer) -> Iterator[Interruption]:
    """Let the first Ctrl-C or SIGTERM end training after the step, and the second at once.

    Args:
        trainer: Whose training is under way.
    """
    asked = Interruption()

    def stop(number: int, frame: FrameType | None) -> None:
        if asked.signal is not None:
            raise KeyboardInterrupt
        asked.signal = number
        trainer.should_stop = True

    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread may set handlers
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    except SIGTERMException:  # Lightning's own handler ends training after the step, too
        asked.signal = signal.SIGTERM
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
