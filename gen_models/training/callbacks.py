"""Lightning callbacks; every axis is in real images shown."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from gen_models.errors import NotFinite, UsageError
from gen_models.models.base import GenerativeModule
from gen_models.records import whole
from gen_models.training.trackers import show


class ImageBudget(pl.Callback):
    """Ends training once so many real images were shown; the last batch counts whole.

    Args:
        images: The budget.
    """

    def __init__(self, images: int) -> None:
        self.images = images

    def on_train_start(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Refuse to go on from a checkpoint that has spent the budget."""
        if module.images_seen >= self.images:
            raise UsageError(
                f"the checkpoint has seen {module.images_seen} images of max_images={self.images}: "
                "give a larger max_images, or train=false to evaluate it"
            )

    def on_train_batch_end(self, trainer: pl.Trainer, module: GenerativeModule, *_: Any) -> None:
        """Stop where the budget is spent."""
        if module.images_seen >= self.images:
            trainer.should_stop = True


class Selection(pl.Callback):
    """Scores the model at each validation, for the choice of the best checkpoint.

    Args:
        name: Name of the score, as `ModelCheckpoint` monitors it.
        score: Maps the model, in evaluation mode, to a number.
    """

    def __init__(self, name: str, score: Callable[[GenerativeModule], float]) -> None:
        self.name = name
        self.score = score

    def on_validation_end(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Score and make the number known to Lightning and to the module's loggers."""
        if trainer.sanity_checking:
            return
        score = math.inf
        try:
            score = self.score(module) if module.diverged is None else math.inf
        except NotFinite as error:
            module.diverge(f"{error}, at {module.images_seen} images")
        trainer.callback_metrics[self.name] = torch.tensor(score)


class SampleGrid(pl.Callback):
    """Draws the same latents at each validation: `NNNNNNNNN.png`, named by images seen.

    Args:
        folder: Where the pictures go; made if it is not there.
        draw: Writes the picture of a model to a file.
    """

    def __init__(self, folder: Path, draw: Callable[[GenerativeModule, Path], None]) -> None:
        self.folder = folder
        self.draw = draw

    def on_train_start(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Remove what a killed run has drawn behind the checkpoint that this one begins at."""
        for path in self.folder.glob("*.png"):
            if path.stem.isdecimal() and int(path.stem) > module.images_seen:
                path.unlink(missing_ok=True)  # each process of the run is at it

    def on_validation_end(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Draw, for the folder and for the loggers that show pictures."""
        if trainer.sanity_checking or module.diverged is not None or not trainer.is_global_zero:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{module.images_seen:09d}.png"
        with whole(path) as part:
            self.draw(module, part)
        for logger in trainer.loggers:
            show(logger, "samples", path, module.images_seen)


class ImageProgress(pl.callbacks.ProgressBar):
    """A bar over the whole budget, with time left and current losses; lines where no one watches.

    Args:
        images: The budget.
        seconds: Between two lines, where the output is no terminal.
        refresh: Seconds between two pictures of the bar; drawing one takes milliseconds.
    """

    def __init__(self, images: int, seconds: float = 20.0, refresh: float = 1.0) -> None:
        super().__init__()
        self.images = images
        self.seconds = seconds
        self.refresh = refresh
        self._last = 0.0
        self._bar: Progress | None = None

    def disable(self) -> None:
        """Show nothing, as Lightning asks of all processes but the first."""
        self.seconds = math.inf

    def on_train_start(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Open the bar."""
        self._last = time.monotonic()
        if not sys.stderr.isatty() or math.isinf(self.seconds):
            return
        columns = BarColumn(), MofNCompleteColumn(), TextColumn("images"), TimeElapsedColumn()
        left = TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[losses]}")
        console = Console(stderr=True)
        self._bar = Progress(*columns, *left, console=console, auto_refresh=False)
        self._bar.add_task("", total=self.images, completed=module.images_seen, losses="")
        self._bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, module: GenerativeModule, *_: Any) -> None:
        """Move the bar, or write a line now and then."""
        pause = self.seconds if self._bar is None else self.refresh
        if time.monotonic() - self._last > pause:
            self._last = time.monotonic()
            self._show(module)

    def _show(self, module: GenerativeModule) -> None:
        seen, said = min(module.images_seen, self.images), losses(module)
        if self._bar is None:
            print(f"{seen} of {self.images} images  {said}", flush=True)
        else:
            self._bar.update(self._bar.task_ids[0], completed=seen, losses=said, refresh=True)

    def on_train_end(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Close the bar, full."""
        if self._bar is not None:
            self._show(module)
        self._close()

    def on_exception(self, *_: Any) -> None:
        """Close the bar, so that the error stands on a line of its own."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def losses(module: GenerativeModule) -> str:
    """The losses of the last interval, by phase."""
    for means in reversed(module.history):
        keys = [k for k in means if k.startswith("train/") and k.endswith("/loss")]
        named = {key.split("/")[1]: means[key] for key in keys}
        if named:
            return "  ".join(f"{name} loss {value:.4g}" for name, value in named.items())
    return ""
