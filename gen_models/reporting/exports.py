"""The numbers of a comparison for other programs: report.csv, and report.json with the runs.

A row is one model on one measurement on one set of data; both files hold the same rows under the
same names. In CSV an empty field is what null is in JSON, numbers are written in full, and text
that begins as a formula does has an apostrophe before it.

- `section`: number of the section in the report, from 1; rows of two sections are not comparable.
- `data`: name of the data.
- `model`: as the report labels it: variants of one model are told apart.
- `name`: of the value; it carries the protocol.
- `title`, `aspect`, `extractor`, `unit`, `better` ("lower", "higher" or null): as records have it.
- `mean`: over the seeds that have the number; the number itself where one seed has it.
- `low`, `high`, `interval`: the interval's ends, in the unit, and which interval it is.
- `seeds`: how many finished runs, one for each seed, have the number.
- `count`: images or samples that went into the number of each run.
- `floor`, `ceiling`: means of the runs' own: real data, and a trivial model.
- `reason`: why there is no mean; null exactly where there is one.
- `protocol`: how it was measured.

`report.json` is an object of `rows`, a list of such rows; of `differences`, for each section what
differs between the configurations, by key and model, as JSON text or "absent"; and of `runs`, a
list of all runs, with those that enter no mean:

- `folder`: the name of the run's folder, not its path.
- `model`: as in the rows; `seed`; `commit`, null where unknown; `versions`, by package. All of them
  are null where the record cannot be read.
- `measured`: null, or `created`, `commit` and `versions` of a measurement after training.
- `status`: as the record has it, or "unreadable".
- `reason`: why it did not finish, or finished before its budget was spent, or cannot be read.
- `averaged`: whether it enters the means.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from gen_models.records import Anchor, Measured, Value, write_whole
from gen_models.reporting.cells import Cell, Table
from gen_models.reporting.cells import Row as TableRow
from gen_models.reporting.groups import Group, Section
from gen_models.reporting.likeness import alike
from gen_models.reporting.origins import differences
from gen_models.reporting.runs import Run, Unreadable, legible

Row = dict[str, Any]

FIELDS = (
    *("section", "data", "model", "name", "title", "aspect", "extractor", "unit", "better"),
    *("mean", "low", "high", "interval", "seeds", "count", "floor", "ceiling"),
    *("reason", "protocol"),
)
"""The columns of report.csv, in order."""


def write_numbers(
    folder: Path,
    parts: Sequence[tuple[Section, Table]],
    runs: Sequence[Run | Unreadable],
) -> None:
    """Write report.csv and report.json.

    Args:
        folder: Where they go; it is there already.
        parts: The sections of the comparison, each with its `measurement_table`.
        runs: All that were read for the comparison.
    """
    rows = [row for index, part in enumerate(parts, start=1) for row in _rows(index, *part)]
    sections = [section for section, _ in parts]
    told = {
        "rows": rows,
        "differences": [differences(section.groups) for section in sections],
        "runs": _runs(runs, sections),
    }
    write_whole(folder / "report.csv", _csv(rows))
    text = json.dumps(told, allow_nan=False, ensure_ascii=False, indent=1)
    write_whole(folder / "report.json", f"{text}\n")


def _csv(rows: Sequence[Row]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _inert(item) for key, item in row.items()} for row in rows)
    return stream.getvalue()


def _inert(item: Any) -> Any:
    """A field that no spreadsheet takes for a formula: text that begins like one is quoted."""
    return f"'{item}" if isinstance(item, str) and item.startswith(tuple("=+-@\t\r")) else item


def _rows(index: int, section: Section, table: Table) -> Iterator[Row]:
    for row in table.rows:
        # A row has more cells than there are models: the tests, floor and ceiling.
        for group, cell in zip(section.groups, row.cells, strict=False):
            yield {"section": index, **_row(group, cell, row)}


def _row(group: Group, cell: Cell, row: TableRow) -> Row:
    name = row.values[0].name
    mine = [v for record in group.records for v in record.values if v.name == name]
    present = alike([value for value in mine if value.value is not None])
    # A model that was not measured at all is described by those that were.
    (first, *_) = present or mine or row.values
    estimate = cell.estimate
    return {
        "data": group.runs[0].record.data,
        "model": group.label,
        "name": name,
        "title": first.title,
        "aspect": first.aspect or None,
        "extractor": first.extractor,
        "unit": first.unit,
        "better": first.better,
        "mean": estimate.value if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "interval": _interval(cell, first),
        "seeds": len(present),
        "count": first.count,
        "floor": _mean([value.floor for value in present]),
        "ceiling": _mean([value.ceiling for value in present]),
        "reason": None if estimate else cell.text.removeprefix("n/a: "),
        "protocol": first.protocol or None,
    }


def _interval(cell: Cell, value: Value) -> str | None:
    if cell.estimate is None or cell.estimate.low is None:
        return None
    basis = cell.estimate.basis
    return value.interval if basis == "over samples" else f"95 %, Student's t, {basis}"


def _mean(anchors: Sequence[Anchor | None]) -> float | None:
    numbers = [anchor.value for anchor in anchors if anchor]
    return fmean(numbers) if numbers else None


def _runs(runs: Sequence[Run | Unreadable], sections: Sequence[Section]) -> list[Row]:
    groups = [group for section in sections for group in section.groups]
    labels = {id(run): group.label for group in groups for run in (*group.runs, *group.repeated)}
    averaged = {id(run) for group in groups for run in group.finished}
    return [
        _unreadable(run) if isinstance(run, Unreadable) else _run(run, labels[id(run)], averaged)
        for run in runs
    ]


def _run(run: Run, label: str, averaged: set[int]) -> Row:
    record = run.record
    return {
        "folder": _name(run.folder),
        "model": label,
        "seed": record.seed,
        "status": record.status,
        "reason": record.reason,
        "averaged": id(run) in averaged,
        "commit": record.commit,
        "versions": record.versions,
        "measured": _measured(record.measured),
    }


def _measured(later: Measured | None) -> Row | None:
    # Not the command, which holds paths of the machine.
    names = ("created", "commit", "versions")
    return {name: getattr(later, name) for name in names} if later else None


def _unreadable(run: Unreadable) -> Row:
    return {
        "folder": _name(run.folder),
        "model": None,
        "seed": None,
        "status": "unreadable",
        "reason": run.problem,
        "averaged": False,
        "commit": None,
        "versions": None,
        "measured": None,
    }


def _name(folder: Path) -> str:
    # The folder `.` has a name only once it is resolved.
    return legible(folder.resolve().name)
