"""Run folders: worked on by one process at a time, and how their runs stand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gen_models.errors import UsageError
from gen_models.records.files import remove_parts, write_whole
from gen_models.records.status import LOCK, STATUS, read_mapping, running
from gen_models.records.status import read_status as _told

CONFIG = "config.json"
"""What the run is made of, before its record is there."""

IN_EVALUATION = ", in evaluation"
"""How the reason of a run ends that was trained to its end and interrupted behind it."""


@contextmanager
def taken(folder: Path) -> Iterator[None]:
    """Keep a run folder for this process alone; the system gives it back when the process ends.

    Args:
        folder: Made if it is not there.

    Raises:
        UsageError: If another process has it, or it cannot be written to.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Those who look whether a process is at work have it for a moment.
        lock = FileLock(folder / LOCK, timeout=1.0)
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"{folder}: another process is at work on it; wait for its end, or give another folder"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None
    with lock:
        yield


def claim(folder: Path, again: bool = False, **told: Any) -> None:
    """Begin a run in a folder that is `taken`, or go on with the one that is there.

    Args:
        folder: The run folder.
        again: Whether a run may be there already.
        **told: What those who look into the folder may know of the run before its record is there.

    Raises:
        UsageError: If it holds a run already, or cannot be written to.
    """
    if not again and _holds_a_run(folder):
        raise UsageError(
            f"{folder} holds a run already: go on with it (resume=true), or give another folder "
            "(hydra.run.dir=DIR, --out DIR)"
        )
    remove_parts(folder)
    try:
        write_whole(folder / STATUS, running(**told))
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None


def _holds_a_run(folder: Path) -> bool:
    """Whether anything would be lost: not where one ended before it had made anything."""
    if _told(folder).get("status") == "running":
        return True
    return any((folder / name).exists() for name in ("record.json", "checkpoints"))


@contextmanager
def begun(folder: Path, **told: Any) -> Iterator[None]:
    """A run folder for as long as the block lasts, which does the work; its status tells how.

    Args:
        folder: Made if it is not there; must not hold a run yet.
        **told: As `claim` takes it.

    Raises:
        UsageError: If another process or run has it, or it cannot be written to.
    """
    with taken(folder):
        claim(folder, **told)
        try:
            yield
        except BaseException as error:
            write_status(folder, "failed", f"{type(error).__name__}: {error}".splitlines()[0])
            raise
        write_status(folder, "finished")


def write_status(folder: Path, status: str, reason: str | None = None) -> None:
    """Say how the run stands, for those who look into the folder."""
    write_whole(folder / STATUS, json.dumps({"status": status, "reason": reason}) + "\n")


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Keep what the run is made of, as plain data, for those who go on with it."""
    write_whole(folder / CONFIG, json.dumps(config, indent=1) + "\n")


def read_status(folder: Path) -> str | None:
    """How the run stands; None where nobody says."""
    return _told(folder).get("status")


def read_config(folder: Path) -> dict[str, Any]:
    """What the run is made of; empty where nobody says."""
    return read_mapping(folder / CONFIG)
