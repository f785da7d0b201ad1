"""One run, from configuration to report: seed, data, model, fit, evaluate, record."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pytorch_lightning as pl
from safetensors.torch import save

from gen_models import processes
from gen_models.allowed import trust
from gen_models.checkpoints import check_data, check_room, load, read_checkpoint
from gen_models.config import RunConfig, check
from gen_models.data import ImageDataModule
from gen_models.errors import Diverged, UsageError, enough_memory
from gen_models.fitting import check_images, check_optimizers, cut_short, make_trainer, refusals
from gen_models.folders import IN_EVALUATION, taken, write_status
from gen_models.harness import Harness
from gen_models.launching import Failed, everywhere
from gen_models.models import GenerativeModule
from gen_models.models.state import not_finite
from gen_models.provenance import keep_skipped, make_record
from gen_models.recipes import build, describe
from gen_models.records import Picture, Value, write_whole
from gen_models.reporting.report import write_report
from gen_models.reporting.terminal import print_table
from gen_models.resuming import again, begin, complete, set_aside, settled, tell_again
from gen_models.training.compiled import compiling
from gen_models.training.divergence import broken_batch
from gen_models.training.interruption import Interruption, listening, signal_name
from gen_models.training.memory import kept_memory
from gen_models.training.quiet import quiet, without_nvml
from gen_models.training.trackers import Trackers


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
        SystemExit: With 130 or 143 if a signal ended the run; what there was is saved.
        Diverged: If a loss or a weight was not finite; record and report say so.
    """
    try:
        everywhere(one_of_all, config.trainer, settled(config), folder, name, command)
    except (Failed, UsageError) as error:
        if isinstance(error, Failed) or isinstance(error.__cause__, Failed):
            with suppress(OSError):  # on a full disk, that is the error to be seen
                write_status(folder, "failed", str(error).rstrip().splitlines()[-1])
        raise
    return folder / "report.html"


def one_of_all(config: RunConfig, folder: Path, name: str, command: str) -> None:
    """What each process of a run does, in the folder of the first; see `run`."""
    folder, first = processes.by_first(lambda: folder), processes.first()
    with taken(folder) if first else nullcontext(), listening() as asked:
        done = processes.by_first(lambda: complete(folder, config) if config.resume else None)
        if done is not None:
            if first:
                tell_again(folder, config, done)
            return
        start = processes.by_first(lambda: begin(folder, config, name, command))
        trackers = Trackers([])
        try:
            work = Run(config, folder, name, command, start, asked)
            trackers = work.trackers
            work.go()
        except Diverged:  # all is written
            if first:
                raise
        except BaseException as error:
            told = f"{type(error).__name__}: {error}".splitlines()[0]
            stopped = isinstance(error, KeyboardInterrupt | SystemExit)
            status = "interrupted" if stopped else "failed"
            if first:
                with suppress(OSError):  # on a full disk, that is the error to be seen
                    write_status(folder, status, signal_name(asked) or told)
                trackers.end(finished=False)
            if not stopped or asked.signal is None:
                raise
    if first and asked.signal is not None:
        print(f"Go on with: {again(command, 'hydra.run.dir', folder)}", flush=True)
        raise SystemExit(128 + asked.signal)


class Run:
    """The parts of one run, built from its configuration."""

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        name: str,
        command: str,
        start: str | None,
        asked: Interruption | None = None,
    ) -> None:
        quiet()
        without_nvml()
        self.config, self.folder, self.name, self.command = config, folder, name, command
        self.start = start
        self.asked = asked or Interruption()
        check(config)
        if not config.train and start is None:
            raise UsageError("train=false needs ckpt_path=FILE: there is nothing to evaluate")
        self.checkpoint = None if start is None else read_checkpoint(start)
        trust(config.trust)
        self.data: ImageDataModule = build(config.data, "data")
        processes.by_first(self.data.prepare_data)
        self.data.setup("fit")
        shape, scaler = self.data.shape, self.data.scaler
        self.harness = Harness(config.evaluation, self.data)
        # Seeded behind all else that is built: no choice of data or metric moves the model.
        pl.seed_everything(config.seed, workers=True, verbose=False)
        offered = {
            "num_classes": self.data.num_classes,
            "training_images": len(self.data.train),
        }
        with enough_memory("model: too little memory for its networks; make them smaller"):
            self.model: GenerativeModule = build(
                config.model, "model", offered, shape=shape, scaler=scaler
            )
        keep_skipped(self.data, self.model, self.folder)
        check_optimizers(self.model)
        self.trainer = make_trainer(
            config,
            folder,
            self.data.batch_size,
            self.harness.score_name,
            self.harness.score(),
            self.harness.draw,
            self.asked,
        )
        self.trackers = Trackers(self.trainer.loggers)
        self.device = self.trainer.strategy.root_device

    def go(self) -> Path:
        """Do what the configuration says, as far as it is not done."""
        indices = {name: rows.int() for name, rows in self.data.split_indices.items()}
        if processes.first():
            write_whole(self.folder / "split.safetensors", save(indices))
            self.trackers.begin(describe(self.config.__dict__))
        if self.config.train and not self.trained:
            self.fit()
        else:
            self.load()
        started = time.monotonic()
        status, reason = "finished", cut_short(self.trainer, self.config, self.model.images_seen)
        values: list[Value] = []
        pictures: list[Picture] = []
        if self.asked.signal is not None:
            status, reason = "interrupted", f"{signal_name(self.asked)}; not evaluated"
        elif (fault := self.fault()) is not None:
            status, reason = "diverged", fault
        elif self.config.evaluate:
            try:
                values, pictures = self.harness.evaluate(self.model, self.folder)
            except KeyboardInterrupt:
                status, reason = "interrupted", f"{signal_name(self.asked)}{IN_EVALUATION}"
        seconds = time.monotonic() - started
        report = processes.by_first(lambda: self.report(status, reason, values, pictures, seconds))
        if status == "diverged":
            raise Diverged(f"{reason}; {report}")
        return report

    @property
    def trained(self) -> bool:
        """Whether a run that goes on has spent its budget, and only measuring is left."""
        seen = (self.checkpoint or {}).get("images_seen", 0)
        return self.config.resume and seen >= self.config.max_images

    def fault(self) -> str | None:
        """Why the model cannot be evaluated: a loss or a weight that is not finite."""
        broken = not_finite(self.model)
        if self.model.diverged is None and broken:
            return f"{broken} is not finite after {self.model.images_seen} images"
        return self.model.diverged

    def fit(self) -> None:
        """Train to the budget."""
        check_data(self.data, self.checkpoint or {})
        check_images(self.model, self.data)
        check_room(self.folder, self.model)
        too_large = f"lower data.batch_size={self.data.batch_size}, or the model's width"
        told = f"out of memory in training: {too_large}"
        if processes.first():
            set_aside(self.folder)
        with kept_memory(), compiling(self.config.compile), enough_memory(told), refusals():
            self.trainer.fit(self.model, datamodule=self.data, ckpt_path=self.start)
        self.asked.signal = processes.largest(self.asked.signal or 0) or None
        if self.model.broken is not None and processes.first():
            indices = self.data.split_indices["train"]
            remains = broken_batch(self.model.broken, self.data.train_dataloader(), indices)
            write_whole(self.folder / "diverged.safetensors", remains)
        self.model.to(self.device)  # Lightning leaves it on the CPU

    def load(self) -> None:
        """Take the weights from the checkpoint that there is."""
        load(self.model, self.data, self.checkpoint or {})
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
        report = write_report(self.folder)
        write_status(self.folder, status, reason)
        print_table(record, report=report)
        self.trackers.publish(
            self.model.images_seen,
            {f"evaluation/{v.name}": v.value for v in values if v.value is not None},
            {f"evaluation/{p.name}": self.folder / p.file for p in pictures},
            [self.folder / "record.json", report, report.with_suffix(".md")],
        )
        self.trackers.end(finished=status == "finished")
        return report
