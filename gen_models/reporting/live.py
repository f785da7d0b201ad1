"""Runs that have not ended, as their folders tell of them: how far they are, and what they draw."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

from gen_models.records.schema import one_line
from gen_models.records.status import at_work, read_status
from gen_models.reporting.cells import Cell, Row, Table
from gen_models.reporting.estimates import number
from gen_models.reporting.images import END, Shown, inline, place, relative

SCORE = "validation/fid_"
"""How the column of metrics.csv begins that the best checkpoint is chosen by."""


@dataclass(frozen=True)
class Live:
    """What a watched page shows above the comparison.

    Attributes:
        runs: A row for each run under way.
        grids: The newest grid of samples of each.
        every: Seconds after which the page loads itself again.
        written: The time, in words.
    """

    runs: Table
    grids: tuple[Shown, ...]
    every: int
    written: str


def under_way(run: Path) -> bool:
    """Whether a run folder tells of a run that has begun and not ended, as far as can be seen."""
    begun = read_status(run).get("status") == "running" and not (run / "record.json").exists()
    return begun and at_work(run) is not False


def live(runs: Sequence[Path], page: Path, every: int, now: datetime) -> Live:
    """Read the folders of runs under way; what is not written yet, or half, is left out.

    Args:
        runs: Their folders.
        page: The folder of the page.
        every: Seconds after which the page loads itself again.
        now: The time.
    """
    columns = ("Run", "Images seen", "Training, seconds", "Score now", "Best score", "Last sign")
    caption = (
        "Score: Fréchet distance to validation images, lower is better; the best is where best.ckpt"
        " was saved. Last sign: when the run last wrote something."
    )
    return Live(
        Table(caption, tuple(map(Cell, columns)), tuple(_row(run, page) for run in runs)),
        tuple(grid for run in runs if (grid := _grid(run, page))),
        every,
        f"{now:%H:%M:%S}",
    )


def signs(run: Path) -> list[Path]:
    """The files by which a run folder tells how the run stands; the newest grid is the last."""
    files = [run / name for name in ("status.json", "record.json", "metrics.csv")]
    return [file for file in [*files, *_grids(run)] if file.exists()]


def _row(run: Path, page: Path) -> Row:
    rows, told = _metrics(run / "metrics.csv"), read_status(run)
    score = next((key for row in rows for key in row if key.startswith(SCORE)), "")
    scores = [(row[score], row.get("step")) for row in rows if score in row]
    drawn = [float(grid.stem) for grid in _grids(run) if grid.stem.isdecimal()]
    images = max([row["step"] for row in rows if "step" in row] + drawn, default=0)
    seconds = max((row["seconds"] for row in rows if "seconds" in row), default=None)
    best = min(scores, key=lambda pair: pair[0], default=None)
    texts = (
        _progress(images, told.get("max_images")),
        "" if seconds is None else number(round(seconds)),
        number(scores[-1][0]) if scores else "",
        f"{number(best[0])} at {number(int(best[1] or 0))} images" if best else "",
        f"{datetime.fromtimestamp(max(s.stat().st_mtime for s in signs(run))):%H:%M:%S}",
    )
    return Row(Cell(_label(run, page), (score,)), tuple(map(Cell, texts)))


def _progress(images: float, budget: Any) -> str:
    if not isinstance(budget, int) or budget < 1:
        return number(int(images))
    return f"{number(int(images))} of {number(budget)} ({images / budget:.0%})"


def _label(run: Path, page: Path) -> str:
    told = read_status(run)
    named = f"{told['model']}, seed {told.get('seed')}" if told.get("model") else ""
    return " · ".join(filter(None, (one_line(named), place(run, page))))


def _metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a log, of each what is a number; a last line without an end is half a line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return []
    rows = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    return [
        {key: v for key, item in row.items() if (v := _number(item)) is not None} for row in rows
    ]


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None


def _grids(run: Path) -> list[Path]:
    return sorted((run / "progress").glob("*.png"))


def _grid(run: Path, page: Path) -> Shown | None:
    """The newest grid that is whole, on a page below `page`."""
    for path in reversed(_grids(run)):
        if path.read_bytes().endswith(END):
            seen = number(int(path.stem)) if path.stem.isdecimal() else path.stem
            label = _label(run, page)
            caption = f"samples after {seen} images"
            plain = Shown("progress", label, caption, f"{label}: {caption}", relative(path, page))
            return inline(plain, path, label, path.name)
    return None
