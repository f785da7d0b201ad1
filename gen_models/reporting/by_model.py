"""Tables turned for a reader who compares models: a row for each, a small table for each aspect."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gen_models.reporting.cells import Cell, Row, Table
from gen_models.reporting.estimates import number

ENDS = {
    "Floor": "Floor (real data)",
    "Ceiling": "Ceiling (trivial model)",
    "Test": "Test between the models",
}
"""The foot of a sheet, from the top: the column of a measurement table, and its name as a row."""

COPIES = {"Floor": "Floor (held-out images)", "Ceiling": "Ceiling (copies)"}
"""Of memorisation, where real data would be copied."""


@dataclass(frozen=True)
class Column:
    """The head of one measurement.

    Attributes:
        title: With the extractor where several look at the same question.
        notes: Unit, direction, count of images or samples, what intervals are over; no empty ones.
        name: The exact name in the records; empty for a cost.
        better: "lower" or "higher", which a first click puts on top; else empty.
    """

    title: str
    notes: tuple[str, ...] = ()
    name: str = ""
    better: str = ""


@dataclass(frozen=True)
class Sheet:
    """The measurements of one aspect with a row for each model.

    Attributes:
        title: The aspect, or empty.
        columns: The measurements that some model has, a floor or a ceiling.
        rows: The models; a cell for each column.
        foot: Floor, ceiling and test, as far as the rows have any; never sorted.
        lacking: The measurements that nothing has: their reasons, with the models, as notes.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    foot: tuple[Row, ...]
    lacking: tuple[Column, ...]


def sheets(table: Table, models: int) -> list[Sheet]:
    """Turn a table whose columns are models; every number of it is in one of the sheets.

    Args:
        table: From `measurement_table` or `cost_table`.
        models: How many of its columns, the first ones after the headings, are models.
    """
    return [_sheet(title, rows, table.columns[1:], models) for title, rows in table.parts]


def legend(table: Table, models: int) -> list[str]:
    """What is the same for all numbers of a table, and what the small ones under them are."""
    cells = [cell for row in table.rows for cell in row.cells[:models] if cell.estimate]
    mixed = len({cell.estimate.basis for cell in cells if cell.estimate}) > 1
    over = "Value and 95 % interval; what it is taken over stands in the head or below the number."
    best = any(cell.best for cell in cells)
    told = {
        "%": "A small % is how far a number lies from floor (0 %) to ceiling (100 %).",
        "seeds ": 'Small after "seeds": the standard deviation between them; after "run": the'
        " standard error within one, which another draw of samples would change.",
    }
    briefs = " ".join(cell.brief for cell in cells)
    tests = next((head.notes for head in table.columns if head.text == "Test" and head.notes), ())
    return [
        over if mixed else table.caption,
        *(why for mark, why in told.items() if mark in briefs),
        *([f"Tests between the models: {', '.join(tests)}."] if tests else []),
        *(["Best: ahead of every other model by these tests."] if best else []),
    ]


def _sheet(title: str, rows: Sequence[Row], heads: Sequence[Cell], models: int) -> Sheet:
    shown, empty = ([row for row in rows if _empty(row) == lacks] for lacks in (False, True))
    cells = [[_spared(cell, row, models) for cell in row.cells] for row in shown]
    lines = [
        Row(head, tuple(column[place] for column in cells)) for place, head in enumerate(heads)
    ]
    foot = {line.head.text: line for line in lines[models:] if _says(line)}
    names = ENDS | (COPIES if title == "Memorisation" else {})
    return Sheet(
        title,
        tuple(_column(row, models) for row in shown),
        tuple(lines[:models]),
        tuple(_foot(foot[end], names[end], shown) for end in ENDS if end in foot),
        tuple(_lacking(row, heads[:models]) for row in empty),
    )


def _empty(row: Row) -> bool:
    return all(cell.missing for cell in row.cells)


def _says(line: Row) -> bool:
    return any(not cell.missing or cell.notes for cell in line.cells)


def _column(row: Row, models: int) -> Column:
    name, better = (row.values[0].name, row.values[0].better) if row.values else ("", None)
    counts = sorted({value.count for value in row.values if value.count is not None})
    notes = (
        *(note for note in row.head.notes if note != name),
        f"n = {', '.join(map(number, counts))}" if counts else "",
        _basis(row, models),
    )
    return Column(row.head.text, tuple(filter(None, notes)), name, better or "")


def _basis(row: Row, models: int) -> str:
    """What the intervals of the models are over, where their cells say so and agree."""
    cells = [cell for cell in row.cells[:models] if cell.estimate]
    bases = {cell.estimate.basis for cell in cells if cell.estimate}
    agreed = bases.pop() if len(bases) == 1 else ""
    return agreed if any(agreed in cell.notes for cell in cells) else ""


def _spared(cell: Cell, row: Row, models: int) -> Cell:
    """A model's cell with one line below its number; its basis is in it where the head has none."""
    if not cell.estimate:
        return cell
    basis = cell.estimate.basis
    said = basis in cell.notes and basis != _basis(row, models)
    line = " · ".join(filter(None, (basis if said else "", cell.brief)))
    return replace(cell, notes=(line,) if line else ())


def _foot(line: Row, name: str, rows: Sequence[Row]) -> Row:
    """A line under its full name, with what all its numbers were measured on, if that is one."""
    end = line.head.text.lower()
    anchors = [getattr(value, end, None) for row in rows for value in row.values]
    of = {anchor.of for anchor in anchors if anchor}
    once = of if len(of) == 1 else set()
    return Row(
        replace(line.head, text=name, notes=tuple(once)),
        tuple(
            replace(cell, notes=tuple(note for note in cell.notes if note not in once))
            for cell in line.cells
        ),
    )


def _lacking(row: Row, labels: Sequence[Cell]) -> Column:
    reasons: dict[str, list[str]] = {}
    for label, cell in zip(labels, row.cells, strict=False):
        reasons.setdefault(cell.text, []).append(label.text)
    notes = tuple(f"{reason} ({', '.join(mine)})" for reason, mine in reasons.items())
    return Column(row.head.text, notes, _column(row, len(labels)).name)
