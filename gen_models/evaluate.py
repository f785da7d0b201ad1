"""Measure trained runs where they lie, or images that any other program has drawn.

python -m gen_models.evaluate RUN_DIR... [KEY=VALUE...]
python -m gen_models.evaluate --samples DIR --data mnist [KEY=VALUE...]

Nothing is trained: this is for runs that were trained with `evaluate=false`, and for a new
measurement on old runs. KEY=VALUE changes what a run was measured by, in Hydra's notation:
`evaluation.samples=2000`, `evaluation/measurements=likelihood`, or `evaluation=default` for all.

In record.json values, pictures, sampling, the seconds of evaluation and `measured` are new, and
`evaluation` and `evaluate` in its configuration, which say how the values came about. All else
stays as training left it.

With --samples, a folder of images or an .npz is measured against a data set as a model would be,
into a folder of its own with record and report, which `python -m gen_models.report` compares with
runs. KEY=VALUE is as for run.py: `data.root=DIR`, `evaluation.samples=2000`, `seed=1`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gen_models.composing import composed, recorded_config
from gen_models.config import explain, register
from gen_models.errors import UsageError
from gen_models.folders import IN_EVALUATION, taken, write_status
from gen_models.records import Measured, Record
from gen_models.records.schema import one_line
from gen_models.reporting.runs import Unreadable, find_runs, read_run

__all__ = ["evaluate", "main", "recorded_config", "sort_words"]

SAMPLES_TAKE = ("data", "evaluation", "seed", "trust")
"""What of a configuration has a say in how samples are measured."""


def evaluate(folder: Path, overrides: Sequence[str], command: str) -> Record:
    """Measure one run and write its record and report anew.

    Args:
        folder: The run folder.
        overrides: Of `evaluation`, as on the command line; `trust=[PACKAGE]` too.
        command: How this was started, for the record.

    Returns:
        The new record, as it was written.

    Raises:
        UsageError: If there is nothing to measure: no readable record, training that did not end
            well, no checkpoint, other data than the run was trained on, a checkpoint of another
            leg of training than the record. The old record is left.
        HydraException: If an override or the recorded configuration does not fit; see `explain`.
    """
    record = _trained(folder)
    config = recorded_config(record, folder, overrides)

    from gen_models.app import Run  # late: a mistake in the words costs no torch

    work = Run(config, folder, record.model, record.command, config.ckpt_path)
    work.load()
    if (fault := work.fault()) is not None:
        raise UsageError(f"nothing to measure: {fault}")
    if (seen := work.model.images_seen) != record.budget.images_seen:
        raise UsageError(
            f"its last checkpoint has seen {seen} images and its record {record.budget.images_seen}"
            ": training went on behind the record; let it end first (resume=true)"
        )
    started = time.monotonic()
    values, pictures = work.harness.evaluate(work.model, folder)
    seconds = round(time.monotonic() - started, 2)

    from gen_models.provenance import commit, now, sampling, versions
    from gen_models.recipes import describe
    from gen_models.reporting.report import write_report

    made = replace(
        record,
        status="finished",
        reason=record.reason if record.status == "finished" else None,
        values=tuple(values),
        pictures=tuple(pictures),
        sampling=sampling(work.model),
        budget=replace(record.budget, evaluation_seconds=seconds),
        config=record.config | {"evaluation": describe(config.evaluation), "evaluate": True},
        measured=Measured(now(), command, versions(), commit()),
    )
    made.write(folder / "record.json")  # from here on, the new pictures count
    write_report(folder)
    write_status(folder, made.status, made.reason)
    for old in {picture.file for picture in record.pictures} - {p.file for p in made.pictures}:
        (folder / old).unlink(missing_ok=True)
    return made


def _trained(folder: Path) -> Record:
    """The record of a run whose training came to its end."""
    run = read_run(folder)
    if isinstance(run, Unreadable):
        raise UsageError(run.problem)
    record, budget = run.record, run.record.config.get("max_images")
    if record.status == "finished":
        return record
    seen = record.budget.images_seen
    spent = isinstance(budget, int) and seen >= budget
    if record.status == "interrupted" and (spent or (record.reason or "").endswith(IN_EVALUATION)):
        return record
    raise UsageError(
        f"nothing to measure: the run is {record.status} ({record.reason}) after {seen} images"
    )


def sort_words(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Run folders at or below those named, each once, and the overrides.

    Raises:
        UsageError: If a word is neither, or there is no run.
    """
    # A folder's name may hold "=": Hydra names some by their overrides.
    places = [Path(word) for word in words if Path(word).is_dir()]
    overrides = [word for word in words if not Path(word).is_dir()]
    for word in overrides:
        key = word.partition("=")[0].lstrip("+~")
        if "=" not in word and not word.startswith("~"):
            raise UsageError(f"{word}: there is no such folder")
        if key.replace("/", ".").split(".")[0] not in ("evaluation", "trust"):
            raise UsageError(f"{word}: a trained run takes evaluation.* and trust alone")
    runs = {run.resolve(): run for place in places for run in find_runs(place)}
    if not runs:
        raise UsageError(f"no run folder in {', '.join(map(str, places)) or 'no folder'}")
    return list(runs.values()), overrides


def main(words: list[str] | None = None) -> int:
    """Measure all runs; 1 if one could not be, 2 if the words are wrong, 130 after Ctrl-C."""
    register()
    parser = argparse.ArgumentParser(
        prog="python -m gen_models.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", metavar="RUN_DIR | KEY=VALUE")
    parser.add_argument("--samples", type=Path, help="folder of images, .npz or .npy")
    parser.add_argument("--data", help="what the samples are measured against, as data= of run.py")
    parser.add_argument("--name", help="what the samples are called in the report")
    parser.add_argument("--out", type=Path, help="folder of record and report; below runs if none")
    words = sys.argv[1:] if words is None else words
    options = parser.parse_intermixed_args(words)
    command, given = f"{parser.prog} {shlex.join(words)}", options.words
    try:
        if options.samples is not None:
            return _samples(options, command)
        if options.data or options.name or options.out:
            raise UsageError("--data, --name and --out go with --samples")
        runs, overrides = sort_words(given)
        done = [_measure(run, overrides, command) for run in runs]
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        run = "the run that was being measured keeps its old record"
        print(f"Stopped: {'the samples were not measured' if options.samples else run}.")
        return 130
    if any(done):
        places = shlex.join(word for word in given if Path(word).is_dir())
        print(f"Compare them: python -m gen_models.report {places} --out DIR")
    return int(not all(done))


def _samples(options: argparse.Namespace, command: str) -> int:
    """Measure samples, and tell where the report lies; 2 and one line if something is wrong."""
    words = [*options.words, *([f"data={options.data}"] if options.data else [])]
    for word in words:
        key = word.partition("=")[0].lstrip("+~").replace("/", ".")
        if key.split(".")[0] not in SAMPLES_TAKE and key != "hydra.searchpath":
            raise UsageError(f"{word}: --samples takes {', '.join(SAMPLES_TAKE)} alone")
    if not any(word.startswith("data=") for word in words):
        raise UsageError("--samples needs the data it is measured against: --data NAME")
    try:
        config = composed(words)

        from gen_models.reporting.terminal import print_table
        from gen_models.samples import evaluate_samples  # late: a mistake in words costs no torch

        record, report = evaluate_samples(
            config, options.samples, command, options.name, options.out
        )
    except Exception as error:
        message = explain(error)
        if message is None or "GEN_MODELS_ONE_LINE_ERRORS" not in os.environ:
            raise
        raise UsageError(message) from None
    print_table(record, report=report)
    return 0


def _measure(run: Path, overrides: Sequence[str], command: str) -> bool:
    """Measure one run of several, and tell in one line how it went."""
    try:
        with taken(run):
            record = evaluate(run, overrides, command)
    except Exception as error:
        if "GEN_MODELS_ONE_LINE_ERRORS" not in os.environ:
            raise
        told = explain(error) or f"{type(error).__name__}: {' '.join(str(error).split())}"
        print(f"error: {run}: {told}", file=sys.stderr, flush=True)
        return False
    seconds = record.budget.evaluation_seconds
    print(
        f"{one_line(record.model)}, seed {record.seed}: {len(record.values)} values in"
        f" {seconds:.0f} seconds, {run / 'report.html'}",
        flush=True,
    )
    return True


if __name__ == "__main__":
    sys.exit(main())
