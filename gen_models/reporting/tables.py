"""Tables of one run's values or of measurements by models; HTML and Markdown show the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gen_models.records import Anchor, Record, Value
from gen_models.reporting.estimates import Estimate, number, of_value, over_seeds
from gen_models.reporting.groups import Group

ARROWS = {"lower": "lower is better ↓", "higher": "higher is better ↑"}


@dataclass(frozen=True)
class Cell:
    """A text with smaller notes under it.

    Attributes:
        text: What is read first.
        notes: Smaller lines; empty ones are left out.
        estimate: The number behind the text, where it is a model's.
        best: Better than every other model by more than the intervals.
        missing: Stands for an absent number.
        link: A relative address for the text.
    """

    text: str
    notes: tuple[str, ...] = ()
    estimate: Estimate | None = None
    best: bool = False
    missing: bool = False
    link: str = ""

    @property
    def interval(self) -> str:
        """The part of the text in brackets, if the text has one: a page keeps it on one line."""
        interval = self.estimate.interval if self.estimate else ""
        return interval if self.text.endswith(interval) else ""

    @property
    def number(self) -> str:
        """The part of the text before the interval."""
        return self.text.removesuffix(self.interval).strip()


@dataclass(frozen=True)
class Row:
    """A heading and its cells.

    Attributes:
        values: What the row was made of, seed by seed.
        comparable: Whether all of them share unit, direction and protocol.
    """

    head: Cell
    cells: tuple[Cell, ...]
    values: tuple[Value, ...] = ()
    comparable: bool = True


@dataclass(frozen=True)
class Table:
    """Rows under columns; the first column is the rows' heading."""

    caption: str
    columns: tuple[Cell, ...]
    rows: tuple[Row, ...]


def run_table(record: Record) -> Table:
    """All values of one run: value, interval, unit, samples, floor, ceiling."""
    columns = ("Measurement", "Value", "Interval", "Unit", "n", "Floor", "Ceiling")
    return Table(
        "Every value of this run. Floor: the same measurement on real data; ceiling: on a trivial"
        " model.",
        tuple(Cell(column) for column in columns),
        tuple(_run_row(value) for value in record.values),
    )


def _run_row(value: Value) -> Row:
    estimate = of_value(value) if value.value is not None else None
    interval = Cell(estimate.interval, (value.interval or "",), estimate) if estimate else Cell("")
    return Row(
        Cell(value.title, (ARROWS.get(value.better or "", ""), value.name)),
        (
            Cell(number(estimate.value), (), estimate) if estimate else _absent([value]),
            interval,
            Cell(value.unit),
            Cell("" if value.count is None else number(value.count)),
            _anchors([value.floor]),
            _anchors([value.ceiling]),
        ),
        (value,),
    )


def measurement_table(groups: Sequence[Group]) -> Table:
    """Measurements by models, joined by the value's name alone.

    Floor and ceiling stand in the last two columns. The best cell of a row is marked only where its
    interval touches no other model's.
    """
    names = dict.fromkeys(
        value.name for group in groups for record in group.records for value in record.values
    )
    rows = [_measurement_row(name, groups) for name in names]
    caption, rows = _say_basis_once(rows)
    columns = (Cell("Measurement"), *map(_column, groups), Cell("Floor"), Cell("Ceiling"))
    return Table(caption, columns, tuple(rows))


def _column(group: Group) -> Cell:
    return Cell(group.label, (group.count,))


def _measurement_row(name: str, groups: Sequence[Group]) -> Row:
    found = [
        [value for record in group.records for value in record.values if value.name == name]
        for group in groups
    ]
    values = [value for members in found for value in members]
    present = [value for value in values if value.value is not None]
    first = (present or values)[0]
    cells = [_summary(members, group) for members, group in zip(found, groups, strict=True)]
    same = _alike(present)
    notes = (first.unit, ARROWS.get(first.better or "", ""), name)
    return Row(
        Cell(first.title, notes if same else (*notes, "units or protocols differ: not compared")),
        (
            *(_mark_best(cells, first.better) if same else cells),
            _anchors(value.floor for value in values),
            _anchors(value.ceiling for value in values),
        ),
        tuple(present or values),
        same,
    )


def _alike(values: Sequence[Value]) -> bool:
    return len({(value.unit, value.better, value.protocol) for value in values}) < 2


def _summary(values: Sequence[Value], group: Group) -> Cell:
    """One model's cell: over seeds where several have the value, else with the value's interval."""
    present = [value for value in values if value.value is not None]
    lacking = len(group.finished) - len(present)
    if not group.finished:
        return Cell(f"n/a: no finished run ({len(group.unfinished)} did not finish)", missing=True)
    if not present:
        return _absent(values)
    if not _alike(present):
        return Cell("n/a: units or protocols differ between the seeds", missing=True)
    numbers = [value.value for value in present if value.value is not None]
    estimate = over_seeds(numbers) if len(numbers) > 1 else of_value(present[0])
    notes = [estimate.basis]
    if lacking:
        notes.append(f"{lacking} of {len(group.finished)} runs {_absent(values).text}")
    return Cell(str(estimate), tuple(notes), estimate)


def _absent(values: Sequence[Value]) -> Cell:
    reasons = dict.fromkeys(value.reason for value in values if value.reason)
    return Cell(f"n/a: {'; '.join(map(str, reasons)) or 'not measured'}", missing=True)


def _mark_best(cells: Sequence[Cell], better: str | None) -> list[Cell]:
    sign = {"lower": 1, "higher": -1}.get(better or "")
    rivals = [cell.estimate for cell in cells if cell.estimate]
    if sign is None or len(rivals) < 2:
        return list(cells)
    best = min(rivals, key=lambda rival: sign * rival.value)
    if not all(best.apart(rival) for rival in rivals if rival is not best):
        return list(cells)
    return [replace(cell, best=cell.estimate is best) for cell in cells]


def _anchors(anchors: Iterable[Anchor | None]) -> Cell:
    """One number, or the range where runs have measured their own, and what it was measured on."""
    given = [anchor for anchor in anchors if anchor]
    if not given:
        return Cell("none", missing=True)
    ends = dict.fromkeys(number(end(anchor.value for anchor in given)) for end in (min, max))
    return Cell(" to ".join(ends), tuple(dict.fromkeys(anchor.of for anchor in given)))


def _say_basis_once(rows: Sequence[Row]) -> tuple[str, list[Row]]:
    """Say in the caption what the intervals are over where all cells agree, else in each cell."""
    bases = {cell.estimate.basis for row in rows for cell in row.cells if cell.estimate}
    if len(bases) != 1:
        return "Value and 95 % interval; under each, what the interval is taken over.", list(rows)
    (basis,) = bases
    said = {
        "no interval": "One run per model, without intervals: no value is marked best.",
        "over samples": "One run per model; the interval is the run's own, over samples.",
    }.get(basis, f"Mean and 95 % Student-t interval {basis}.")
    return said, [
        replace(row, cells=tuple(replace(cell, notes=_without(cell, basis)) for cell in row.cells))
        for row in rows
    ]


def _without(cell: Cell, basis: str) -> tuple[str, ...]:
    return tuple(note for note in cell.notes if not (cell.estimate and note == basis))


def cost_table(groups: Sequence[Group]) -> Table:
    """What each model was given and what it took, over its finished runs."""
    costs = [[_costs(record) for record in group.records] for group in groups]
    names = dict.fromkeys(name for members in costs for cost in members for name in cost)
    rows = [
        Row(Cell(name), tuple(_cost([cost[name] for cost in m if name in cost]) for m in costs))
        for name in names
    ]
    return Table(
        "Budget and cost. Seconds: mean and 95 % Student-t interval over seeds where there are"
        " several.",
        (Cell("Cost"), *map(_column, groups)),
        tuple(rows),
    )


def _costs(record: Record) -> dict[str, float]:
    budget = record.budget
    return {
        "Images seen": budget.images_seen,
        "Iterations": budget.iterations,
        "Training, seconds": budget.training_seconds,
        "Evaluation, seconds": budget.evaluation_seconds,
        **{f"Parameters, {name}": count for name, count in record.parameters.items()},
    }


def _cost(numbers: Sequence[float]) -> Cell:
    if not numbers:
        return Cell("none")
    estimate = over_seeds(numbers) if len(numbers) > 1 else Estimate(numbers[0])
    return Cell(str(estimate), (), estimate)
