"""The same command again: what a run folder leaves to be done, and whether it is the same run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gen_models.checkpoints import newest
from gen_models.config import RunConfig
from gen_models.errors import Diverged, UsageError
from gen_models.folders import claim, read_config, read_status, write_config, write_status
from gen_models.recipes import describe
from gen_models.records import Record
from gen_models.reporting.report import write_report
from gen_models.reporting.terminal import print_table

LIMITS = "callbacks", "trainer.max_epochs", "trainer.max_time"
"""Keys by which training may end before the budget does."""

FREE = (
    *LIMITS,
    "checks",
    "compile",
    "data.download",
    "data.in_memory",
    "data.root",
    "evaluate",
    "evaluation.cache",
    "logger",
    "max_images",
    "model.budget",  # settled by the first leg, for a model that divides it
    "resume",
    "save_seconds",
    "train",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.enable_progress_bar",
    "trainer.num_nodes",
    "trainer.strategy",
    "trust",
)
"""Keys of a configuration that may change when a run goes on: budget, places, machine, words."""


def settled(config: RunConfig) -> RunConfig:
    """`ckpt_path=last` is `resume=true` in Lightning's words.

    Raises:
        UsageError: If there is to be no training.
    """
    if config.ckpt_path == "last":
        config = replace(config, ckpt_path=None, resume=True)
    if config.resume and not config.train and config.ckpt_path is None:
        raise UsageError(
            "train=false leaves nothing to go on with: `python -m gen_models.evaluate RUN` "
            "measures a run where it lies"
        )
    return config


def refuse_changes(folder: Path, config: Mapping[str, Any]) -> None:
    """Go on with a run as what it is.

    Raises:
        UsageError: If the configuration differs from the run's own; names the keys.
    """
    own = read_config(folder)
    if not own:  # begun by an older version: the checkpoint's own arguments are compared anyway
        return
    there, here = flat(own), flat(config)
    changed = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    if not here["train"]:  # what is measured, then, and not what training began with
        changed = [key for key in changed if key != "ckpt_path"]
    told = [f"{k} is {there.get(k)} there and {here.get(k)} here" for k in changed if not free(k)]
    if told:
        more = f" and {len(told) - 5} more" if len(told) > 5 else ""
        raise UsageError(
            f"{folder} holds a run of another configuration ({'; '.join(told[:5])}{more}): set it "
            "as it was there, or give another folder"
        )


def free(key: str, names: Sequence[str] = FREE) -> bool:
    """Whether a dotted key may change: it is one of those named, or lies below one."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def limits(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration says of `LIMITS`."""
    return {key: value for key, value in flat(config).items() if free(key, LIMITS)}


def flat(config: Any, place: str = "") -> dict[str, Any]:
    """Dotted keys and their values."""
    if not isinstance(config, Mapping) or not config:
        return {place: config}
    items = ((f"{place}.{key}" if place else str(key), item) for key, item in config.items())
    return {key: value for place, item in items for key, value in flat(item, place).items()}


def complete(folder: Path, config: RunConfig) -> Record | None:
    """The record of a run that leaves nothing to be done; None of any other."""
    try:
        record = Record.read(folder / "record.json")
    except UsageError:
        return None
    if record.status == "diverged":  # it would again
        return record
    own = record.config
    # A model may need less of its budget, and a limit that ended training before would do so again.
    same = limits(own) == limits(describe(config.__dict__))
    ended = same and own.get("train", True)
    spent = max(own.get("max_images", 0) if ended else 0, record.budget.images_seen)
    trained = not config.train or spent >= config.max_images
    measured = bool(own.get("evaluate")) or not config.evaluate
    return record if record.status == "finished" and trained and measured else None


def begin(folder: Path, config: RunConfig, name: str, command: str) -> str | None:
    """Take up the run in a folder, or begin one; the checkpoint to start from, if there is one.

    Raises:
        UsageError: If there is a run already that is not to be gone on with, or is another one.
    """
    plain, start = describe(config.__dict__), config.ckpt_path
    if config.resume and (last := newest(folder)) is not None:
        refuse_changes(folder, plain)
        start = str(last)
    told = {"model": name, "seed": config.seed, "max_images": config.max_images}
    go_on = again(command, "hydra.run.dir", folder)
    claim(folder, again=config.resume, **told, go_on=go_on)
    write_config(folder, plain)
    return start


def set_aside(folder: Path) -> None:
    """Keep the record that training goes on behind as `previous_record.json`.

    A killed leg would leave it beside newer weights, and be told of by nobody.
    """
    with suppress(FileNotFoundError):
        (folder / "record.json").replace(folder / "previous_record.json")


def tell_again(folder: Path, config: RunConfig, record: Record) -> Path:
    """Show the results of a run that leaves nothing to be done.

    Raises:
        UsageError: If another configuration is asked for than the run had.
        Diverged: If that is how it ended.
    """
    refuse_changes(folder, describe(config.__dict__))
    report = folder / "report.html"
    if read_status(folder) != record.status or not report.exists():  # killed behind the record
        write_report(folder)
        write_status(folder, record.status, record.reason)
    cut = record.status == "finished" and record.reason
    left = f"{cut}: go on by raising that limit" if cut else "nothing is left to be done"
    print(f"{folder}: the run is {record.status}, {left}")
    print_table(record, report=report)
    if record.status == "diverged":
        raise Diverged(f"{record.reason}; {report}")
    return report


def again(command: str, key: str, folder: Path) -> str:
    """The command that goes on with a run, or with a sweep.

    Args:
        command: How it was started.
        key: `hydra.run.dir` or `hydra.sweep.dir`.
        folder: Its folder.

    Example:
        >>> again("python run.py model=gan", "hydra.run.dir", Path("runs/a"))
        'python run.py model=gan hydra.run.dir=runs/a resume=true'
    """
    words = [word for word in shlex.split(command) if not word.startswith((f"{key}=", "resume="))]
    kept = [word for word in words if word != "ckpt_path=last"]
    return shlex.join([*kept, f"{key}={quoted(str(folder))}", "resume=true"])


def quoted(text: str) -> str:
    """A value as Hydra's grammar wants it."""
    plain = re.fullmatch(r"[\w./:+-]+", text)
    return text if plain else "'" + text.replace("'", r"\'") + "'"
