"""The checkpoint to go on from: as good at any moment as at the end of an epoch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from gen_models.errors import UsageError
from gen_models.models.base import GenerativeModule
from gen_models.models.state import goes_on, not_finite
from gen_models.training.interruption import Interruption
from gen_models.training.loops import between_iterations
from gen_models.training.trackers import rewind


class LastCheckpoint(pl.callbacks.Checkpoint):
    """Saves `last.ckpt` at each validation, at intervals, and when a signal asks for the end.

    A run that goes on from it, however it was ended, ends as one that was never stopped: the same
    bits on a CPU. What is saved is the state between two iterations. Lightning's own interval in
    seconds never fires under manual optimisation. What was saved before stays as `previous.ckpt`.

    Args:
        folder: Of the checkpoints.
        seconds: Between two checkpoints, at most, but for one step; a kill loses no more.
        asked: Whether a signal has asked for the end.
    """

    def __init__(self, folder: Path, seconds: float, asked: Interruption) -> None:
        self.path = folder / "last.ckpt"
        self.previous = folder / "previous.ckpt"
        self.seconds = seconds
        self.asked = asked
        self._saved = 0.0
        self._iterations = 0
        self._batches: int | None = None
        self._started = False

    def on_save_checkpoint(
        self, trainer: pl.Trainer, module: GenerativeModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say where the loops stand, whoever saves, and wherever."""
        checkpoint["batches"] = batches = int(trainer.num_training_batches)
        between_iterations(checkpoint["loops"]["fit_loop"], module.iterations, batches)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, module: GenerativeModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take down how long its epochs were; of an older version it does not say."""
        self._batches = checkpoint.get("batches")

    def on_fit_start(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Have loggers hold what the checkpoint does, also where nothing is left to be trained."""
        for logger in trainer.loggers if trainer.is_global_zero else ():
            rewind(logger, module.images_seen, module.history)

    def on_train_start(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Start the clock, and hear signals instead of Lightning, which exits with status 0.

        Raises:
            UsageError: If training goes on behind an epoch that was of another length.
        """
        here, there = int(trainer.num_training_batches), self._batches
        if there not in (None, here) and module.iterations >= min(here, there):
            raise UsageError(
                f"the checkpoint's epochs have {there} batches and those of now {here}: set "
                "data.batch_size and trainer.limit_train_batches as they were there"
            )
        self._started = True
        self._saved, self._iterations = time.monotonic(), module.iterations
        self.asked.patient = True
        self.asked.listen()

    def on_train_batch_end(self, trainer: pl.Trainer, module: GenerativeModule, *_: Any) -> None:
        """Save where it is time, and end training where that was asked for."""
        wanted = self._heard() or time.monotonic() - self._saved >= self.seconds
        agree = trainer.strategy.reduce_boolean_decision
        if not agree(wanted, all=False):  # processes save and stop together
            return
        stop = agree(self._heard(), all=False)
        # A validation that is due saves behind itself: only then is it known to be done.
        interval: Any = trainer.val_check_batch
        due = trainer.should_stop or module.iterations % interval == 0
        trainer.should_stop |= stop
        if due and trainer.enable_validation:
            return
        if stop:
            trainer.limit_val_batches = 0  # Lightning would validate, where the whole run does not
        self.save(trainer, module)

    def on_validation_end(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Save, and end training where that was asked for in the meantime."""
        if trainer.sanity_checking:
            return
        self.save(trainer, module)
        if trainer.strategy.reduce_boolean_decision(self._heard(), all=False):
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Save what nothing has; from here on a signal ends the program at once."""
        # What a signal has ended is not at its end: it goes on from the state that is saved.
        stopped = trainer.strategy.reduce_boolean_decision(self._heard(), all=False)
        changed = not stopped and module.conclude()
        if changed or module.iterations > self._iterations:
            self.save(trainer, module)
        self.asked.patient = False

    def on_fit_end(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Refuse to begin with another run's weights and train nothing: no checkpoint is left.

        Raises:
            UsageError: If that has happened.
        """
        begun = trainer.ckpt_path is not None and not goes_on(trainer)
        if begun and not self._started:
            raise UsageError(
                "nothing is left to be trained: trainer.max_epochs, trainer.max_time or a callback "
                "ends training where ckpt_path begins; raise that limit, or give train=false to "
                "evaluate it"
            )

    def on_exception(self, trainer: pl.Trainer, module: Any, exception: BaseException) -> None:
        """From here on a signal ends the program at once."""
        self.asked.patient = False

    def save(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Save, unless the state is beyond repair: the last good one stays."""
        if module.diverged is None and not_finite(module) is None:
            trainer.save_checkpoint(self.path, storage_options={"previous": self.previous})
        self._saved, self._iterations = time.monotonic(), module.iterations

    def _heard(self) -> bool:
        return self.asked.signal is not None
