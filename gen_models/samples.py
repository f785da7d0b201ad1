"""Samples that any program has drawn, measured as models here are, into a record and a report."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gen_models.allowed import trust
from gen_models.config import RunConfig
from gen_models.data import ImageDataModule
from gen_models.data.samples import read_samples
from gen_models.errors import UsageError
from gen_models.evaluation.given import GivenSamples
from gen_models.folders import begun
from gen_models.harness import Harness, sample_count
from gen_models.provenance import commit, hardware, now, versions
from gen_models.recipes import build, describe
from gen_models.records import Budget, Record
from gen_models.reporting.report import write_report


def evaluate_samples(
    config: RunConfig, place: Path, command: str, name: str | None = None, out: Path | None = None
) -> tuple[Record, Path]:
    """Measure images against a data set and write record and report, as of a run.

    The values carry the names that a run's do where as many images are measured; more than a run
    would draw are thinned out at random, by `evaluation.seed`.

    Args:
        config: Of which data, evaluation, seed and trust count.
        place: A folder of images, an .npz or an .npy; see `read_samples`.
        command: How this was started, for the record.
        name: What the samples are called in the report; the name of the place if None.
        out: Where record and report go; runs/NAME-DATA/TIME if None.

    Returns:
        The record, and the path of the report.

    Raises:
        UsageError: If samples or data are not as they must be; nothing is written then.
    """
    started = time.monotonic()
    trust(config.trust)
    data: ImageDataModule = build(config.data, "data")
    data.prepare_data()
    data.setup()
    name = name or place.resolve().stem
    images = read_samples(place, data.shape, data.test.images.dtype)
    images, chosen = chosen_images(images, config.evaluation, len(data.train))
    harness = Harness({**config.evaluation, "samples": len(images)}, data)
    folder = out or Path("runs", f"{name}-{data.name}", f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
    with begun(folder, model=name, seed=config.seed):
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        values, pictures = harness.evaluate(GivenSamples(images, device), folder)
        record = Record(
            status="finished",
            model=name,
            data=data.name,
            seed=config.seed,
            created=now(),
            command=command,
            config=told(config, place),
            commit=commit(),
            versions=versions(),
            hardware=hardware(device),
            shape=data.shape,
            split={split: len(getattr(data, split)) for split in ("train", "validation", "test")},
            data_fingerprint=data.fingerprint,
            parameters={},
            budget=Budget(0, 0, 0.0, round(time.monotonic() - started, 2)),
            values=tuple(values),
            pictures=tuple(pictures),
            sampling=f"images from files: {chosen}",
        )
        record.write(folder / "record.json")
        report = write_report(folder)
    return record, report


def chosen_images(
    images: Tensor, evaluation: dict[str, Any], training_images: int
) -> tuple[Tensor, str]:
    """As many images as would be drawn from a model, and in words which ones.

    Args:
        images: (N, C, H, W).
        evaluation: Its `samples` and `seed`.
        training_images: How many there are.

    Raises:
        UsageError: If there are fewer than were asked for by number, or than two.
    """
    wanted = sample_count(evaluation, training_images)
    if len(images) < (2 if evaluation["samples"] is None else wanted):
        raise UsageError(
            f"--samples: {len(images)} images; "
            + (
                "two are the least"
                if len(images) < 2
                else f"evaluation.samples={wanted} needs more"
            )
        )
    if len(images) <= wanted:
        return images, f"all {len(images)}"
    # Not the first ones: files are often sorted by class.
    generator = torch.Generator().manual_seed(evaluation["seed"])
    rows = torch.randperm(len(images), generator=generator)[:wanted].sort().values
    return images[rows], f"{wanted} of {len(images)}, chosen at random"


def told(config: RunConfig, place: Path) -> dict[str, Any]:
    """What of the configuration has a say in the numbers, and where the samples lay."""
    kept = {key: getattr(config, key) for key in ("data", "evaluation", "seed", "trust")}
    made: dict[str, Any] = describe({**kept, "samples": place.resolve()})
    return made
