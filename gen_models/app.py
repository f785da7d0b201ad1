"""One run, from configuration to report: seed, data, model, fit, evaluate, record."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from safetensors.torch import save_file

from gen_models.allowed import trust
from gen_models.config import RunConfig, check
from gen_models.data import ImageDataModule
from gen_models.errors import Diverged, UsageError
from gen_models.fitting import check_images, make_trainer, read_checkpoint
from gen_models.folders import claim, write_status
from gen_models.harness import Harness
from gen_models.models import GenerativeModule
from gen_models.models.state import not_finite
from gen_models.provenance import keep_skipped, make_record
from gen_models.recipes import build, describe
from gen_models.records import Picture, Value, write_whole
from gen_models.reporting.report import write_report
from gen_models.reporting.terminal import print_table
from gen_models.training.divergence import broken_batch
from gen_models.training.interruption import Interruption, gentle_stop
from gen_models.training.quiet import quiet
from gen_models.training.trackers import Trackers

GAMES = ("objective.", "adversarial.")

ONLY_TRAINING = frozenset(
    {
        "adversarial",
        "adversarial_weight",
        "augment",
        "clip",
        "conditioning",
        "continuous_weight",
        "discriminator_optimizer",
        "feature_weight",
        "gamma",
        "lr_schedule",
        "n_critic",
        "objective",
        "optimizer",
        "penalties",
        "pixel_weight",
        "reconstructions",
        "training_images",
        "weight",
        "weight_clip",
    }
)
"""Arguments of families that may differ where a checkpoint is only evaluated."""


def run(config: RunConfig, folder: Path, name: str, command: str) -> Path:
    """Train, evaluate and report one model.

    Args:
        config: What to run, with all interpolations resolved.
        folder: Where everything goes; must not hold a run yet.
        name: What the model is called in the report.
        command: How the run was started, for the report.

    Returns:
        The path of the report.

    Raises:
        UsageError: If the configuration or the data are wrong.
        SystemExit: With 130 or 143 if a signal ended training; what there was is saved.
        Diverged: If a loss or a weight was not finite; record and report say so.
    """
    claim(folder, model=name, seed=config.seed, max_images=config.max_images)
    trackers = Trackers([])
    try:
        work = Run(config, folder, name, command)
        trackers = work.trackers
        report = work.go()
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        status = "interrupted" if stopped else "failed"
        write_status(folder, status, f"{type(error).__name__}: {error}".splitlines()[0])
        trackers.end(finished=False)
        raise
    if work.signal is not None:
        last = folder / "checkpoints" / "last.ckpt"
        print(f"Stopped at {work.model.images_seen} images. Go on with: ckpt_path={last}")
        raise SystemExit(128 + work.signal)
    if work.diverged is not None:
        raise Diverged(f"{work.diverged}; {report}")
    return report


class Run:
    """The parts of one run, built from its configuration."""

    def __init__(self, config: RunConfig, folder: Path, name: str, command: str) -> None:
        quiet()
        self.config, self.folder, self.name, self.command = config, folder, name, command
        check(config)
        if not config.train and config.ckpt_path is None:
            raise UsageError("train=false needs ckpt_path=FILE: there is nothing to evaluate")
        self.checkpoint = None if config.ckpt_path is None else read_checkpoint(config.ckpt_path)
        trust(config.trust)
        self.data: ImageDataModule = build(config.data, "data")
        self.data.prepare_data()
        self.data.setup("fit")
        shape, scaler = self.data.shape, self.data.scaler
        self.harness = Harness(config.evaluation, self.data)
        # Seeded behind all else that is built: no choice of data or metric moves the model.
        pl.seed_everything(config.seed, workers=True, verbose=False)
        offered = {
            "num_classes": self.data.num_classes,
            "training_images": len(self.data.train),
        }
        self.model: GenerativeModule = build(
            config.model, "model", offered, shape=shape, scaler=scaler
        )
        keep_skipped(self.data, self.model, self.folder)
        try:
            self.model.configure_optimizers()
        except (TypeError, ValueError) as error:
            raise UsageError(f"model.optimizer: {error}") from error
        self.trainer = make_trainer(
            config,
            folder,
            self.data.batch_size,
            self.harness.score_name,
            self.harness.score(),
            self.harness.draw,
        )
        self.trackers = Trackers(self.trainer.loggers)
        self.device = self.trainer.strategy.root_device
        self.signal: int | None = None
        self.diverged: str | None = None

    def go(self) -> Path:
        """Do what the configuration says."""
        indices = {name: rows.int() for name, rows in self.data.split_indices.items()}
        save_file(indices, self.folder / "split.safetensors")
        self.trackers.begin(describe(self.config.__dict__))
        if self.config.train:
            interruption = self.fit()
        else:
            interruption = Interruption()
            self.load(self.checkpoint or {})
        started = time.monotonic()
        status, reason = "finished", None
        values: list[Value] = []
        pictures: list[Picture] = []
        if interruption.signal is not None:
            status, reason = "interrupted", f"signal {interruption.signal}; not evaluated"
        elif (fault := self.fault()) is not None:
            status, reason = "diverged", fault
            self.diverged = fault
        elif self.config.evaluate:
            try:
                values, pictures = self.harness.evaluate(self.model, self.folder)
            except KeyboardInterrupt:
                interruption.signal = signal.SIGINT
                status, reason = "interrupted", "Ctrl-C in evaluation; train=false evaluates again"
        self.signal = interruption.signal
        seconds = time.monotonic() - started
        return self.report(status, reason, values, pictures, seconds)

    def fault(self) -> str | None:
        """Why the model cannot be evaluated: a loss or a weight that is not finite."""
        broken = not_finite(self.model)
        if self.model.diverged is None and broken:
            return f"{broken} is not finite after {self.model.images_seen} images"
        return self.model.diverged

    def fit(self) -> Interruption:
        """Train to the budget."""
        check_images(self.model, self.data)
        with gentle_stop(self.trainer) as interruption:
            self.trainer.fit(self.model, datamodule=self.data, ckpt_path=self.config.ckpt_path)
        if self.model.broken is not None:
            indices = self.data.split_indices["train"]
            remains = broken_batch(self.model.broken, self.data.train_dataloader(), indices)
            write_whole(self.folder / "diverged.safetensors", remains)
        if self.model.diverged is None:
            self.save()
        self.model.to(self.device)  # Lightning leaves it on the CPU
        return interruption

    def save(self) -> None:
        """Keep the end of training, where the validation that ends it has not done so."""
        # Where it has, resuming is exact; behind `fit`, Lightning counts an epoch as complete that
        # was not.
        last = self.folder / "checkpoints" / "last.ckpt"
        if not last.exists() or read_checkpoint(str(last))["images_seen"] < self.model.images_seen:
            self.trainer.save_checkpoint(last)

    def load(self, checkpoint: dict[str, Any]) -> None:
        """Weights and counters of a checkpoint of the same model."""
        self.model.restore(checkpoint, [k for k in self.model.hparams if k not in ONLY_TRAINING])
        splits = checkpoint.get(type(self.data).__qualname__)
        if splits is not None:  # test images may not be among those it was trained on
            self.data.load_state_dict(splits)
        # A game may have a state of its own, which only training asks for.
        own, stored = self.model.state_dict(), checkpoint["state_dict"]
        self.model.load_state_dict(
            {k: v for k, v in stored.items() if not k.startswith(GAMES)}
            | {k: v for k, v in own.items() if k.startswith(GAMES)}
        )
        self.model.to(self.device)

    def report(
        self,
        status: str,
        reason: str | None,
        values: list[Value],
        pictures: list[Picture],
        evaluation_seconds: float,
    ) -> Path:
        """Write the record, last and atomically, then the report made of it."""
        record = make_record(
            model=self.model,
            data=self.data,
            config=describe(self.config.__dict__),
            name=self.name,
            command=self.command,
            status=status,
            reason=reason,
            values=values,
            pictures=pictures,
            evaluation_seconds=evaluation_seconds,
            selection=f"validation/{self.harness.score_name}",
        )
        record.write(self.folder / "record.json")
        write_status(self.folder, status, reason)
        report = write_report(self.folder)
        print_table(record, report=report)
        self.trackers.publish(
            self.model.images_seen,
            {f"evaluation/{v.name}": v.value for v in values if v.value is not None},
            {f"evaluation/{p.name}": self.folder / p.file for p in pictures},
            [self.folder / "record.json", report, report.with_suffix(".md")],
        )
        self.trackers.end(finished=status == "finished")
        return report
