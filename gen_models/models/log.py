"""What a model keeps of its own training: counts, clock, means of what is logged, trouble."""

from __future__ import annotations

import math
import time
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn

from gen_models.models.gathered import Gathered, Turn, first
from gen_models.processes import gathered


class Logged(pl.LightningModule):
    """Keeps its own log, over real images shown and over seconds.

    Attributes:
        images_seen: Real images shown in training, over all devices.
        history: Means of the logged values, one mapping an interval; its "images" and "seconds".
        training_seconds: Wall-clock time of training and validation, over all legs of a run.
        diverged: What went wrong, once a loss or a weight is not finite.
        broken: The first turn whose loss was not finite, on any device.
        events: What was warned of in training: "images" seen, "kind" and "text", once a kind.
        threads: On a CPU, of each leg of training that had another number than the one before.
        remedy: What its user may change where training goes wrong.
    """

    remedy: ClassVar[str] = "lower model.optimizer.lr"

    def __init__(self) -> None:
        super().__init__()
        self.images_seen = 0
        self.history: list[dict[str, float]] = []
        self.training_seconds = 0.0
        self.diverged: str | None = None
        self.broken: Turn | None = None
        self.events: list[dict[str, Any]] = []
        self.threads: list[int] = []
        self._started: float | None = None
        self._gathered = Gathered()

    def on_train_start(self) -> None:
        """Start the clock, and tell of another number of threads: it rounds sums otherwise."""
        self._started = time.monotonic()
        now = torch.get_num_threads()
        if self.device.type != "cpu" or self.threads[-1:] == [now]:
            return
        if self.threads and self.trainer.is_global_zero:
            print(
                f"warning: threads are {now} here and were {self.threads[-1]} before: sums are "
                "rounded otherwise, so the run ends near what it would have, not on it",
                flush=True,
            )
        self.threads.append(now)

    def on_train_end(self) -> None:
        """Write what has gathered since the last interval, and stop the clock."""
        if self._gathered:
            self._flush()
        self.training_seconds, self._started = self._seconds(), None

    def on_fit_end(self) -> None:
        """Write what a checkpoint held since the last interval, where nothing was left to train."""
        if self._gathered:
            self._gathered.to(self.device)
            self._flush()

    def _seconds(self) -> float:
        leg = 0.0 if self._started is None else time.monotonic() - self._started
        return self.training_seconds + leg

    def _log(self) -> None:
        self.log_dict(self._flush(), logger=False)

    def _flush(self) -> dict[str, float]:
        names, mine = self._gathered.means()
        overall = self.trainer.strategy.reduce(mine, reduce_op="mean").tolist()
        means = dict(zip(names, overall, strict=True))
        self.write(means)
        bad = [k for k, v in means.items() if k.endswith("/loss") and not math.isfinite(v)]
        if bad and self.diverged is None:
            self.broken = first(gathered(self._gathered.broken), list(means))
            place = f"{self.images_seen} images"
            if (turn := self.broken) is not None:
                bad[0] = f"train/{turn.phase}/loss"
                place = f"{turn.images} images (epoch {turn.epoch}, batch {turn.batch})"
            self.diverge(f"{bad[0]} was not finite at {place}")
        self._gathered.clear()
        return means

    def diverge(self, reason: str) -> None:
        """Say why the model is beyond repair, and end training."""
        self.diverged = reason
        self.tell("divergence", f"{reason}; {self.remedy}")
        self.trainer.should_stop = True

    def tell(self, kind: str, text: str) -> None:
        """Warn of a kind of trouble, with a remedy, and keep when it was: once for each kind."""
        if all(event["kind"] != kind for event in self.events):
            self.events.append({"images": self.images_seen, "kind": kind, "text": text})
            rank_zero_warn(f"{kind} at {self.images_seen} images: {text}", stacklevel=5)

    def write(self, values: dict[str, float]) -> None:
        """Add named values, at this many images and seconds, to the history and to the loggers."""
        values = {"seconds": round(self._seconds(), 3), **values}
        self.history.append({"images": float(self.images_seen), **values})
        for logger in self.loggers:
            logger.log_metrics(values, step=self.images_seen)
            logger.save()
