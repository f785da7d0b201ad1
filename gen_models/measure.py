"""Measure images that any program has drawn.

`python -m gen_models.measure --real DIR --samples DIR --out DIR`. The same harness, record
and report as for the models of this package, so that a stranger's samples stand beside them:
`python -m gen_models.report` takes the folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from gen_models.data import ImageDataModule, ImageFolder
from gen_models.errors import UsageError
from gen_models.evaluation import (
    Copies,
    Evidence,
    Extractor,
    FeatureDivergence,
    FrechetDistance,
    Inception,
    KernelDistance,
    Memorisation,
    Neighbourhoods,
    PrecisionRecallCurve,
    default_extractor,
    evaluate,
    second_extractor,
)
from gen_models.evaluation.given import Given
from gen_models.evaluation.pictures import sample_grid
from gen_models.evaluation.store import FeatureStore, default_folder
from gen_models.folders import claim, write_status
from gen_models.provenance import commit, hardware, now, versions
from gen_models.records import Budget, Picture, Record
from gen_models.reporting.report import write_report
from gen_models.reporting.terminal import print_table

MEASUREMENTS = [
    FrechetDistance(),
    KernelDistance(),
    FeatureDivergence(),
    Neighbourhoods(),
    PrecisionRecallCurve(),
    Memorisation(),
    Copies(),
]


def measure(options: argparse.Namespace) -> Path:
    """Measure the samples and write record and report; returns the path of the report."""
    data = ImageFolder(options.real, options.size, options.channels)
    data.setup()
    drawn, _ = ImageFolder(options.samples, options.size, data.shape[0]).load()
    claim(options.out)
    try:
        record = measured(options, data, drawn.images)
        record.write(options.out / "record.json")
    except BaseException as error:
        write_status(options.out, "failed", f"{type(error).__name__}: {error}".splitlines()[0])
        raise
    write_status(options.out, "finished")
    report = write_report(options.out)
    print_table(record, report=report)
    return report


def measured(options: argparse.Namespace, data: ImageDataModule, images: Tensor) -> Record:
    """All that is kept of the samples, bytes (N, C, H, W)."""
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    values = evaluate(evidence(Given(images), data, len(images), device, options), MEASUREMENTS)
    (options.out / "pictures").mkdir()
    grid = sample_grid(Given(images), device, 0, min(64, len(images)))
    grid.save(options.out / "pictures/samples.png")
    return Record(
        status="finished",
        model=options.name or options.samples.name,
        data=data.name,
        seed=0,
        created=now(),
        command=" ".join(["python -m gen_models.measure", *sys.argv[1:]]),
        config={"samples": str(options.samples), "real": str(options.real)},
        commit=commit(),
        versions=versions(),
        hardware=hardware(device),
        shape=data.shape,
        split={name: len(getattr(data, name)) for name in ("train", "validation", "test")},
        data_fingerprint=data.fingerprint,
        parameters={},
        budget=Budget(0, 0, 0.0, round(time.monotonic() - started, 2)),
        values=tuple(values),
        pictures=(Picture(grid.name, grid.title, "pictures/samples.png", grid.caption),),
        sampling=f"images from files, brought to {data.shape[1]} x {data.shape[2]}",
    )


def evidence(
    model: Given,
    data: ImageDataModule,
    count: int,
    device: torch.device,
    options: argparse.Namespace,
) -> Evidence:
    """What the measurements read."""
    sees = data.shape, data.name, data.train.images
    chosen = default_extractor(*sees), second_extractor(*sees)
    extractors: list[Extractor] = [extractor for extractor in chosen if extractor is not None]
    if options.inception is not None:
        extractors = [Inception(*sees, weights=options.inception), *extractors]
    return Evidence(
        model=model,
        train=data.train,
        validation=data.validation,
        real=data.test,
        split="test",
        extractors=tuple(extractor.to(device) for extractor in extractors),
        samples=count,
        seed=0,
        device=device,
        store=FeatureStore(default_folder()),
    )


def main(words: list[str] | None = None) -> int:
    """Read the options; 2, and one line, if something is wrong with them."""
    parser = argparse.ArgumentParser(
        prog="python -m gen_models.measure",
        description="Measure images that any program has drawn, as models here are measured.",
    )
    parser.add_argument(
        "--real",
        type=Path,
        required=True,
        help="folder of real images as data=folder reads it: train/ and test/, or images of which "
        "a fifth is held out to measure on",
    )
    parser.add_argument("--samples", type=Path, required=True, help="folder of the samples")
    parser.add_argument("--out", type=Path, required=True, help="folder of record and report")
    parser.add_argument("--size", type=int, default=32, help="side that images are brought to")
    parser.add_argument("--channels", type=int, default=None, help="1 or 3; default: as they are")
    parser.add_argument("--name", help="what the samples are called in the report")
    parser.add_argument("--inception", help="file of Inception's weights, to measure by it as well")
    try:
        measure(parser.parse_args(words))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
