"""Logged values between two intervals, summed where they are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Turn(NamedTuple):
    """A phase's turn with one batch.

    Attributes:
        phase: Its name.
        epoch: Counted from 0.
        batch: Number of the batch in the epoch, from 0.
        images: Real images shown, this batch included.
    """

    phase: str
    epoch: int
    batch: int
    images: int


class Sums:
    """Sums of values by name; they stay on the device, where waiting for a number would stall it.

    The running sum of a loss is finite no more from the first loss on that is not. So the sums are
    kept for each turn, and tell which one it was when somebody looks.
    """

    def __init__(self) -> None:
        self._totals: dict[str, tuple[Tensor, int]] = {}
        self._turns: list[tuple[Turn, Tensor]] = []

    def __bool__(self) -> bool:
        return bool(self._totals)

    def add(self, turn: Turn, values: Mapping[str, Tensor]) -> None:
        """Add the values of a turn, scalars; "loss" is among them."""
        for key, value in values.items():
            name = f"train/{turn.phase}/{key}"
            total, count = self._totals.get(name, (0.0, 0))
            self._totals[name] = (total + value.detach().float(), count + 1)
        self._turns.append((turn, self._totals[f"train/{turn.phase}/loss"][0]))

    def means(self) -> tuple[list[str], Tensor]:
        """Names, and the means under them, (names,)."""
        return list(self._totals), torch.stack([t / count for t, count in self._totals.values()])

    def broken(self) -> Turn | None:
        """The first turn whose loss was not finite; waits for the device."""
        return next((t for t, total in self._turns if not math.isfinite(total.item())), None)

    def clear(self) -> None:
        """Begin anew."""
        self._totals.clear()
        self._turns.clear()

    def state_dict(self) -> dict[str, Any]:
        """What a run that goes on within an interval has to find again."""
        return {"totals": dict(self._totals), "turns": [(tuple(t), v) for t, v in self._turns]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._totals = dict(state["totals"])
        self._turns = [(Turn(*turn), total) for turn, total in state["turns"]]
