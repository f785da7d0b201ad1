"""Lightning's trainer and what hangs on it: budget, selection, grids, checkpoints, progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason
from pytorch_lightning.callbacks.timer import Timer
from pytorch_lightning.loggers import Logger

from gen_models.config import RunConfig
from gen_models.data import ImageDataModule
from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError
from gen_models.extras import install
from gen_models.models import GenerativeModule
from gen_models.processes import count
from gen_models.recipes import build, build_each
from gen_models.signatures import defaults
from gen_models.training.callbacks import ImageBudget, ImageProgress, SampleGrid, Selection
from gen_models.training.checkpoint_io import WholeCheckpointIO
from gen_models.training.collapse import PosteriorCollapse
from gen_models.training.compiled import Compiled
from gen_models.training.devices import SharedBatch
from gen_models.training.divergence import FiniteCheckpoint
from gen_models.training.early import EarlyStops, stopping
from gen_models.training.interruption import Interruption
from gen_models.training.last_checkpoint import LastCheckpoint
from gen_models.training.together import Together
from gen_models.training.watch import Watch

Score = Callable[[GenerativeModule], float]
Draw = Callable[[GenerativeModule, Path], None]


def make_trainer(
    config: RunConfig,
    folder: Path,
    batch_size: int,
    name: str,
    score: Score,
    draw: Draw,
    asked: Interruption,
) -> pl.Trainer:
    """A trainer that validates `checks` times over the budget.

    Args:
        config: What the run is.
        folder: The run folder.
        batch_size: Images an iteration.
        name: Of the score.
        score: What `best.ckpt` is chosen by, lower is better; `last.ckpt` lies apart from it.
        draw: Writes a grid of samples.
        asked: Whether a signal has asked for the end of training.

    Raises:
        UsageError: If Lightning cannot have what the configuration asks for.
    """
    monitor = f"validation/{name}"
    checks: list[pl.Callback] = [
        ImageBudget(config.max_images),
        Selection(monitor, score),
        SampleGrid(folder / "progress", draw),
        PosteriorCollapse(),
        Watch(),
        EarlyStops(),
        *([Compiled(config.compile)] if config.compile is not None else []),
    ]
    callbacks: list[pl.Callback] = [
        Together(checks),
        # Lightning asks those that save behind all others, in this order: `last` knows of `best`.
        FiniteCheckpoint(folder / "checkpoints", "best", monitor, enable_version_counter=False),
        LastCheckpoint(folder / "checkpoints", config.save_seconds, asked),
        *build_each(config.callbacks, "callbacks").values(),
    ]
    if config.trainer.get("enable_progress_bar", True):
        callbacks.append(ImageProgress(config.max_images))
    check_trainer(config.trainer)
    try:
        return build(
            {key: value for key, value in config.trainer.items() if key != "strategy"},
            "trainer",
            strategy=SharedBatch() if count() > 1 else "auto",
            callbacks=callbacks,
            logger=make_loggers(config, folder),
            plugins=[WholeCheckpointIO()],
            default_root_dir=folder,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            check_val_every_n_epoch=None,
            val_check_interval=max(1, math.ceil(config.max_images / batch_size) // config.checks),
        )
    except (MisconfigurationException, ValueError) as error:
        reason = " ".join(str(error).split())
        absent = "No supported gpu" in reason or "not available" in reason
        hint = "; use trainer=cpu" if absent else ""
        place = "" if reason.startswith("trainer") else "trainer: "
        raise UsageError(f"{place}{reason}{hint}") from None


def make_loggers(config: RunConfig, folder: Path) -> list[Logger]:
    """Loggers by name, each of which may take the run's folder and a name for the run.

    Raises:
        UsageError: If one is wrong, or its package is not installed.
    """
    title = f"{folder.parent.name}/{folder.name}"
    made: list[Logger] = []
    for key, recipe in config.logger.items():
        own = recipe if isinstance(recipe, dict) else {}
        offered = {"save_dir": str(folder), "name": title, "run_name": title}
        wanted = {name: value for name, value in offered.items() if name not in own}
        try:
            made += build_each({key: recipe}, "logger", wanted).values()
        except ModuleNotFoundError as error:
            missing = str(error).partition(".")[0].partition(",")[0]
            raise UsageError(f"logger={key} is not installed ({missing}): {install(key)}") from None
    return made


BUDGET = "the budget is max_images=N, real images shown"
CHECKS = "choose checks=N, validations over the budget"

INSTEAD = {
    "min_epochs": BUDGET,
    "min_steps": BUDGET,
    "max_steps": BUDGET,
    "val_check_interval": CHECKS,
    "check_val_every_n_epoch": CHECKS,
    "default_root_dir": "the run folder is hydra.run.dir=DIR",
    "logger": "choose logger=NAME, a key of its own",
    "fast_dev_run": "for a short run choose experiment=quick, or max_images=N",
    "overfit_batches": "batches are drawn anew in each epoch; choose data.limit=N, training images",
    "gradient_clip_val": "each phase steps its own optimiser; VAEs take model.clip=NORM",
    "accumulate_grad_batches": "each phase steps its own optimiser; choose data.batch_size=N",
}
"""What Lightning offers and this package does not, and what it has in its place."""


def check_trainer(options: dict[str, Any]) -> None:
    """Refuse what Lightning would do and this package does not.

    Raises:
        UsageError: If there is such an option.
    """
    usual = defaults(pl.Trainer)
    for key, instead in INSTEAD.items():
        if options.get(key) not in (None, usual[key]):
            raise UsageError(f"trainer.{key}: {instead}")
    if options.get("precision") not in ("32-true", "bf16-mixed"):
        raise UsageError("trainer.precision: choices are 32-true, bf16-mixed")
    every = options.get("log_every_n_steps", 1)
    if isinstance(every, int) and every < 1:
        raise UsageError("trainer.log_every_n_steps must be 1 or more")
    if options.get("strategy", "auto") not in ("auto", "ddp"):
        raise UsageError(
            f"trainer.strategy={options['strategy']}: choices are auto, ddp, which are the same: "
            "the devices share each batch, and make the step that one would make of it"
        )


def check_optimizers(model: GenerativeModule) -> None:
    """Refuse optimisers that would break in the first step.

    Raises:
        UsageError: If there is one, or it does not take what the configuration gives it.
    """
    try:
        made = model.configure_optimizers()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"model.optimizer: {' '.join(str(error).split())}") from error
    for optimizer in made:
        if isinstance(optimizer, torch.optim.LBFGS | torch.optim.SparseAdam):
            raise UsageError(
                f"model.optimizer: {type(optimizer).__name__} makes no step of one dense gradient; "
                "choose another, such as torch.optim.Adam"
            )


@contextmanager
def refusals() -> Iterator[None]:
    """Say in one line what Lightning refuses only where training begins.

    Raises:
        UsageError: If it does.
    """
    try:
        yield
    except (MisconfigurationException, RuntimeError) as error:
        told = " ".join(str(error).split())
        early = told.startswith("Early stopping conditioned on metric")
        if not early and not isinstance(error, MisconfigurationException):
            raise
        raise UsageError(f"trainer or callbacks: {told}") from None


def check_images(model: GenerativeModule, data: ImageDataModule) -> None:
    """Let the model refuse images of any split before training starts.

    Raises:
        UsageError: If it does.
    """
    for split in (data.train, data.validation, data.test):
        for part in split.images.split(1000):
            model.check(data.scaler(to_pixels(part)))


def cut_short(trainer: pl.Trainer, config: RunConfig, seen: int) -> str | None:
    """Which limit ended training below the budget; None where none did.

    A model that needs less of the budget ends training by itself, and nothing is left to be done.

    Args:
        trainer: As training left it.
        config: What the run is.
        seen: Images that training has shown.
    """
    if not config.train or seen >= config.max_images:
        return None
    limits = []
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= trainer.current_epoch:
        limits.append(f"trainer.max_epochs={trainer.max_epochs}")
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        left = callback.time_remaining() if isinstance(callback, Timer) else None
        if left is not None and left <= 0:
            time = config.trainer.get("max_time")
            limits.append("Timer of callbacks" if time is None else f"trainer.max_time={time}")
    if any(each.stopping_reason != EarlyStoppingReason.NOT_STOPPED for each in stopping(trainer)):
        limits.append("EarlyStopping of callbacks")
    told = f"stopped at {seen} of {config.max_images} images by {' and '.join(limits)}"
    return told if limits else None
