"""Run folders: where they are, and what is in them or why it cannot be read."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from gen_models.errors import UsageError
from gen_models.records import Record
from gen_models.records.status import unfinished


@dataclass(frozen=True)
class Run:
    """A run folder with its record."""

    folder: Path
    record: Record


@dataclass(frozen=True)
class Unreadable:
    """A run folder whose record cannot be read, and why."""

    folder: Path
    problem: str


def read_run(folder: Path) -> Run | Unreadable:
    """Read a run folder; what is wrong with it is returned, never raised."""
    path = folder / "record.json"
    if not path.exists():
        return Unreadable(folder, "; ".join(filter(None, ("no record.json", unfinished(folder)))))
    try:
        return Run(folder, Record.read(path))
    except UsageError as error:
        # The report names the folder itself, so the absolute path would only repeat it.
        return Unreadable(folder, str(error).replace(str(path), "record.json"))


def find_runs(folder: Path) -> list[Path]:
    """Folders at or below `folder` that hold a record.json or a status.json.

    Returns:
        Sorted as people count: run 2 before run 10.
    """
    marks = [path for name in ("record.json", "status.json") for path in folder.rglob(name)]
    return sorted({mark.parent for mark in marks}, key=_natural)


def legible(name: str) -> str:
    """The name of a file as UTF-8 can hold it; its bytes that are none are replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def _natural(path: Path) -> list[tuple[int, str]]:
    pieces = re.findall(r"[0-9]+|[^0-9]+", path.as_posix())
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]
