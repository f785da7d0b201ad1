"""Loggers that show and keep more than numbers: pictures, the report, the record.

What each kind can do stands in the tables of `show` and `keep`. Another kind is told numbers alone,
until `show.register` and `keep.register` say how more is done.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy
from filelock import FileLock
from lightning_fabric.loggers.logger import rank_zero_experiment
from PIL import Image
from pytorch_lightning.loggers import (
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)

from gen_models.caches import default_folder
from gen_models.errors import UsageError


@singledispatch
def show(logger: Logger, name: str, picture: Path, images: int) -> None:
    """Show a picture.

    Args:
        logger: Of any kind.
        name: What it is a picture of; later ones of the same name follow it.
        picture: A PNG.
        images: Real images seen in training by then.
    """


@singledispatch
def keep(logger: Logger, files: Sequence[Path]) -> None:
    """Keep files as artefacts."""


@show.register
def _(logger: TensorBoardLogger, name: str, picture: Path, images: int) -> None:
    with Image.open(picture) as image:
        pixels = numpy.asarray(image.convert("RGB"))
    logger.experiment.add_image(name, pixels, images, dataformats="HWC")


@keep.register
def _(logger: TensorBoardLogger, files: Sequence[Path]) -> None:
    # It keeps no files, and renders Markdown.
    for file in files:
        if file.suffix == ".md":
            logger.experiment.add_text(file.stem, file.read_text(encoding="utf-8"))


@show.register
def _(logger: WandbLogger, name: str, picture: Path, images: int) -> None:
    logger.log_image(name, [str(picture)], step=images)


@keep.register
def _(logger: WandbLogger, files: Sequence[Path]) -> None:
    import wandb

    kept = wandb.Artifact(f"run-{logger.version}", type="run")
    for file in files:
        kept.add_file(str(file))
    logger.experiment.log_artifact(kept)


@show.register
def _(logger: MLFlowLogger, name: str, picture: Path, images: int) -> None:
    with Image.open(picture) as image:
        logger.experiment.log_image(logger.run_id, image, key=name, step=images)


@keep.register
def _(logger: MLFlowLogger, files: Sequence[Path]) -> None:
    for file in files:
        logger.experiment.log_artifact(logger.run_id, str(file))


@singledispatch
def rewind(logger: Logger, images: int, history: Sequence[Mapping[str, float]]) -> None:
    """Take back what a run that goes on has logged behind its checkpoint, and will log again.

    Args:
        logger: Of any kind; one that cannot take anything back keeps what it has.
        images: Real images seen by the checkpoint; 0 where there is none.
        history: Rows up to the checkpoint: "images" and values.
    """


@rewind.register
def _(logger: CSVLogger, images: int, history: Sequence[Mapping[str, float]]) -> None:
    for row in history:
        values: Any = {key: value for key, value in row.items() if key != "images"}
        logger.log_metrics(values, step=int(row["images"]))
    logger.save()


@rewind.register
def _(logger: TensorBoardLogger, images: int, history: Sequence[Mapping[str, float]]) -> None:
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    # What a SummaryWriter's purge_step writes, which has to be known when the writer is made.
    begun = SessionLog(status=SessionLog.START)
    logger.experiment.file_writer.add_event(Event(session_log=begun), images + 1)


class MLflowLog(MLFlowLogger):
    """Lightning's MLflow logger, whose file the jobs of a sweep may begin all at once.

    MLflow makes the tables step by step where they are missing, and the experiment; two processes
    that do so beside each other break each other's steps.
    """

    def __init__(self, **options: Any) -> None:
        with _in_turn():
            super().__init__(**options)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """MLflow's client."""
        with nullcontext() if self._initialized else _in_turn():
            return super().experiment


def _in_turn() -> FileLock:
    folder = default_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "mlflow.lock")


@dataclass(frozen=True)
class Trackers:
    """The loggers of a run that are told of its beginning and its end.

    CSV is not among them: its numbers lie in the run folder, and all else does already.

    Args:
        loggers: Of Lightning's trainer.
    """

    loggers: Sequence[Logger]

    def begin(self, config: dict[str, Any]) -> None:
        """Tell the configuration.

        Raises:
            UsageError: If a logger does not begin.
        """
        for logger in self._told():
            try:
                logger.log_hyperparams(config)
            except Exception as error:
                kind, told = type(logger).__name__, " ".join(str(error).split())
                raise UsageError(
                    f"{kind} does not begin: {told}; logger=csv needs no server"
                ) from error

    def publish(
        self,
        images: int,
        values: Mapping[str, float],
        pictures: Mapping[str, Path],
        files: Sequence[Path],
    ) -> None:
        """Tell what has become of the run; a logger that fails costs a warning, and no run.

        Args:
            images: Real images seen.
            values: Measured ones, by name.
            pictures: PNGs, by name.
            files: Record and report.
        """

        def told(logger: Logger) -> None:
            logger.log_metrics(dict(values), step=images)
            for name, picture in pictures.items():
                show(logger, name, picture, images)
            keep(logger, files)

        self._each(told)

    def end(self, finished: bool) -> None:
        """Close: the next job of a sweep has loggers of its own."""

        def closed(logger: Logger) -> None:
            logger.finalize("success" if finished else "failed")
            if isinstance(logger, WandbLogger):
                logger.experiment.finish(exit_code=int(not finished))

        self._each(closed)

    def _each(self, act: Callable[[Logger], None]) -> None:
        for logger in self._told():
            try:
                act(logger)
            except Exception as error:  # of a server, or a disk: the run itself is whole
                told = " ".join(str(error).split())
                kind = type(logger).__name__
                warnings.warn(f"{kind} did not take the results: {told}", stacklevel=3)

    def _told(self) -> list[Logger]:
        return [logger for logger in self.loggers if not isinstance(logger, CSVLogger)]
