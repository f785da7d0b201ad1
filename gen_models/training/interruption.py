"""Ctrl-C and SIGTERM: finish the step, save, say how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = signal.SIGINT, signal.SIGTERM


@dataclass
class Interruption:
    """Which signal asked for the end, if one did.

    Attributes:
        signal: The first one.
        patient: Whether somebody looks at `signal` now and then: the first one only asks.
    """

    signal: int | None = None
    patient: bool = False

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        """Ask for the end; end at once where nobody looks, or where that was asked before."""
        first, self.signal = self.signal is None, self.signal or number
        if not (first and self.patient):
            raise KeyboardInterrupt

    def listen(self) -> None:
        """Take Ctrl-C and SIGTERM, from whoever has them."""
        if threading.current_thread() is threading.main_thread():  # no other may
            for number in SIGNALS:
                signal.signal(number, self)


def signal_name(asked: Interruption) -> str | None:
    """Of the signal that asked for the end, in words; None where none did."""
    if asked.signal is None:
        return None
    return "Ctrl-C" if asked.signal == signal.SIGINT else signal.Signals(asked.signal).name


@contextmanager
def listening() -> Iterator[Interruption]:
    """Hear Ctrl-C and SIGTERM as long as the block lasts."""
    asked = Interruption()
    before = [signal.getsignal(number) for number in SIGNALS]
    asked.listen()
    try:
        yield asked
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in zip(SIGNALS, before, strict=True):
                signal.signal(number, handler)
