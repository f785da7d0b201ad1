"""Measure trained runs where they lie: `python -m gen_models.evaluate RUN_DIR... [KEY=VALUE...]`.

Nothing is trained: this is for runs that were trained with `evaluate=false`, and for a new
measurement on old runs. KEY=VALUE changes what a run was measured by, in Hydra's notation:
`evaluation.samples=2000`, `evaluation/measurements=likelihood`, or `evaluation=default` for all.

In record.json values, pictures, sampling, the seconds of evaluation and `measured` are new, and
`evaluation` and `evaluate` in its configuration, which say how the values came about. All else
stays as training left it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gen_models.config import RunConfig, explain, register
from gen_models.errors import UsageError
from gen_models.records import Measured, Record
from gen_models.reporting.runs import Unreadable, find_runs, read_run

CONF = Path(__file__).resolve().parents[1] / "conf"
PARTS = ("features", "probe", "measurements")
"""Groups of `evaluation`, each a choice of its own."""


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
            well, no checkpoint, other data than the run was trained on. The old record is left.
        HydraException: If an override or the recorded configuration does not fit; see `explain`.
    """
    record = _trained(folder)
    config = recorded_config(record, folder, overrides)

    from gen_models.app import Run  # late: a mistake in the words costs no torch

    work = Run(config, folder, record.model, record.command)
    work.load(work.checkpoint or {})
    if (fault := work.fault()) is not None:
        raise UsageError(f"nothing to measure: {fault}")
    started = time.monotonic()
    values, pictures = work.harness.evaluate(work.model, folder)
    seconds = round(time.monotonic() - started, 2)

    from gen_models.folders import write_status
    from gen_models.provenance import commit, now, sampling, versions
    from gen_models.recipes import describe
    from gen_models.reporting.report import write_report

    made = replace(
        record,
        status="finished",
        reason=None,
        values=tuple(values),
        pictures=tuple(pictures),
        sampling=sampling(work.model),
        budget=replace(record.budget, evaluation_seconds=seconds),
        config=record.config | {"evaluation": describe(config.evaluation), "evaluate": True},
        measured=Measured(now(), command, versions(), commit()),
    )
    made.write(folder / "record.json")
    write_status(folder, made.status)
    write_report(folder)
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
    if record.status == "interrupted" and isinstance(budget, int) and seen >= budget:
        return record  # stopped in evaluation
    raise UsageError(
        f"nothing to measure: the run is {record.status} ({record.reason}) after {seen} images"
    )


def recorded_config(record: Record, folder: Path, overrides: Sequence[str]) -> RunConfig:
    """What a run was made of, ready to be measured: checked, its last weights named, overridden.

    Raises:
        UsageError: If the record trusts packages that `overrides` do not.
        HydraException: If the record holds a key that `RunConfig` does not know, or an override
            does not fit.
    """
    from omegaconf import OmegaConf

    schema = OmegaConf.structured(RunConfig)
    plain: Any = OmegaConf.to_container(OmegaConf.merge(schema, record.config))
    config = RunConfig(**plain)
    chosen = _overridden(config.evaluation, overrides)
    # Whoever wrote the record may not say whose code is run here; the user has to.
    if strange := set(config.trust) - set(chosen["trust"]):
        packages = ",".join(sorted(strange))
        raise UsageError(f"made with code of {packages}: add trust=[{packages}] if you trust it")
    last = str(folder / "checkpoints" / "last.ckpt") if config.train else config.ckpt_path
    return replace(
        config,
        evaluation=chosen["evaluation"],
        trust=chosen["trust"],
        train=False,
        evaluate=True,
        ckpt_path=last,
        logger={},
        callbacks={},
    )


def _overridden(evaluation: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`evaluation` and `trust` by Hydra, to which the recorded one is a choice like any other."""
    from hydra import compose
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    store, group = ConfigStore.instance(), "evaluation"
    parts = {part: evaluation[part] for part in PARTS if evaluation.get(part) is not None}
    for part, node in parts.items():
        store.store(group=f"{group}/{part}", name="recorded", node=node)
    named = {part: "recorded" if part in parts else None for part in PARTS}
    lists = [{key: [name] if key == "features" else name} for key, name in named.items()]
    rest = {key: item for key, item in evaluation.items() if key not in parts}
    store.store(group=group, name="recorded", node={"defaults": ["_self_", *lists], **rest})
    store.store(name="measured", node={"defaults": [{group: "recorded"}, "_self_"], "trust": []})
    with _hydra():
        made: Any = OmegaConf.to_container(compose("measured", list(overrides)), resolve=True)
    return {str(key): item for key, item in made.items()}


def _hydra() -> AbstractContextManager[Any]:
    """Hydra with the choices under conf, where there is one: an installed copy has none."""
    from hydra import initialize, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    if not CONF.is_dir():
        return initialize(None, version_base="1.3")
    return initialize_config_dir(str(CONF), version_base="1.3")


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
    parser.add_argument("words", nargs="+", metavar="RUN_DIR | KEY=VALUE")
    given = parser.parse_args(words).words
    command = f"{parser.prog} {shlex.join(given)}"
    try:
        runs, overrides = sort_words(given)
        done = [_measure(run, overrides, command) for run in runs]
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped: the run that was being measured keeps its old record.")
        return 130
    if any(done):
        places = shlex.join(word for word in given if Path(word).is_dir())
        print(f"Compare them: python -m gen_models.report {places} --out DIR")
    return int(not all(done))


def _measure(run: Path, overrides: Sequence[str], command: str) -> bool:
    """Measure one run of several, and tell in one line how it went."""
    try:
        record = evaluate(run, overrides, command)
    except Exception as error:
        if "GEN_MODELS_ONE_LINE_ERRORS" not in os.environ:
            raise
        told = explain(error) or f"{type(error).__name__}: {' '.join(str(error).split())}"
        print(f"error: {run}: {told}", file=sys.stderr, flush=True)
        return False
    seconds = record.budget.evaluation_seconds
    print(
        f"{record.model}, seed {record.seed}: {len(record.values)} values in {seconds:.0f} seconds,"
        f" {run / 'report.html'}",
        flush=True,
    )
    return True


if __name__ == "__main__":
    sys.exit(main())
