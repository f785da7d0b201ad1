"""Logged values between two intervals, kept where they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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


def first(turns: Sequence[Turn | None], names: Sequence[str]) -> Turn | None:
    """The earliest of several devices' turns: a loss of one spoils all others in its next turn.

    Args:
        turns: Of each device; None: it has none.
        names: Of logged values, `train/PHASE/...`, in the order of the phases.
    """

    def when(turn: Turn) -> tuple[int, int]:
        return turn.images, names.index(f"train/{turn.phase}/loss")

    return min((turn for turn in turns if turn is not None), key=when, default=None)


class Gathered:
    """Values of turns; they stay on the device, where waiting for a number would stall it.

    Nor are they summed up: two operators for each value in every step are much to a small network.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[Turn, dict[str, Tensor]]] = []

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, turn: Turn, values: Mapping[str, Tensor]) -> None:
        """Add the values of a turn, scalars; "loss" is among them."""
        self._rows.append((turn, {key: value.detach() for key, value in values.items()}))

    def to(self, device: torch.device) -> None:
        """Move all values: a checkpoint is read to the CPU, and goes on elsewhere."""
        self._rows = [
            (turn, {key: value.to(device) for key, value in values.items()})
            for turn, values in self._rows
        ]

    def means(self) -> tuple[list[str], Tensor]:
        """Names, and the means under them, (names,)."""
        found: dict[str, list[Tensor]] = {}
        for turn, values in self._rows:
            for key, value in values.items():
                found.setdefault(f"train/{turn.phase}/{key}", []).append(value)
        return list(found), torch.stack([torch.stack(v).float().mean() for v in found.values()])

    def broken(self) -> Turn | None:
        """The first turn whose loss was not finite; waits for the device."""
        return next((t for t, v in self._rows if not math.isfinite(v["loss"].item())), None)

    def clear(self) -> None:
        """Begin anew."""
        self._rows.clear()

    def state_dict(self, mean: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """What a run that goes on within an interval has to find again.

        Args:
            mean: Over all devices, of a tensor of each, which it may overwrite.
        """
        rows = [
            (tuple(turn), {key: mean(value.float().clone()) for key, value in values.items()})
            for turn, values in self._rows
        ]
        return {"rows": rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._rows = [(Turn(*turn), dict(values)) for turn, values in state["rows"]]
