"""Tables of one run's values and of measurements by models."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gen_models.records import Anchor, Record, Value
from gen_models.reporting.cells import ARROWS, Cell, Row, Table, arranged, heading
from gen_models.reporting.contests import Contest, contest
from gen_models.reporting.estimates import number, of_value
from gen_models.reporting.groups import Group
from gen_models.reporting.likeness import compared
from gen_models.reporting.significance import with_tests
from gen_models.reporting.summaries import absent, ruler, say_basis_once, standing, summary
from gen_models.reporting.verdicts import Runs


def run_table(record: Record) -> Table:
    """All values of one run: value, interval, unit, samples, floor, ceiling with other anchors."""
    columns = ("Measurement", "Value", "Interval", "Unit", "n", "Floor", "Ceiling")
    return Table(
        "Every value of this run. Floor: the same measurement on real data; ceiling: on a trivial"
        " model.",
        tuple(Cell(column) for column in columns),
        arranged(_run_row(value, heading(value, record.values)) for value in record.values),
    )


def _run_row(value: Value, title: str) -> Row:
    estimate = None
    if value.value is not None:
        estimate = replace(of_value(value), ruler=ruler([value]))
    interval = Cell(estimate.interval, (value.interval or "",), estimate) if estimate else Cell("")
    stands = (standing(estimate, [value]),) if estimate else ()
    return Row(
        Cell(title, (ARROWS.get(value.better or "", ""), value.name)),
        (
            Cell(number(estimate.value), stands, estimate) if estimate else absent([value]),
            interval,
            Cell(value.unit),
            Cell("" if value.count is None else number(value.count)),
            *_ends([value]),
        ),
        (value,),
    )


def measurement_table(groups: Sequence[Group]) -> Table:
    """Measurements by models, joined by the value's name alone.

    The last columns hold the tests between the models, where there are several, then floor and
    ceiling. A cell is marked best where the tests put its model ahead of every other.
    """
    values = [value for group in groups for record in group.records for value in record.values]
    names = dict.fromkeys(value.name for value in values)
    rows = [_measurement_row(name, groups, values) for name in names]
    caption, rows = say_basis_once(rows)
    columns = [Cell("Measurement"), *(Cell(group.label, (group.count,)) for group in groups)]
    if len(groups) > 1:
        tests, rows = with_tests(rows)
        columns.append(tests)
    return Table(caption, (*columns, Cell("Floor"), Cell("Ceiling")), arranged(rows))


def _measurement_row(name: str, groups: Sequence[Group], views: Sequence[Value]) -> Row:
    found = {group.label: _named(name, group.records) for group in groups}
    values = [value for runs in found.values() for value in runs.values()]
    present = [value for value in values if value.value is not None]
    first = (present or values)[0]
    likeness = compared(found)
    tests = _contest(likeness.rivals)
    cells = {
        group.label: summary(list(found[group.label].values()), group, present) for group in groups
    }
    if tests and tests.winner:
        cells[tests.winner] = replace(cells[tests.winner], best=True)
    for label, how in likeness.apart.items():
        if not cells[label].missing:
            cells[label] = cells[label].noted(f"not compared: {how}")
    fields = likeness.differing
    refused = f"not compared: the runs differ in {', '.join(fields)}" if fields else ""
    notes = (first.unit, ARROWS.get(first.better or "", ""), name, refused)
    head = Cell(heading(first, views), tuple(filter(None, notes)))
    shown = (*cells.values(), *_ends(values))
    return Row(head, shown, tuple(present or values), fields, tests, likeness.apart)


def _named(name: str, records: Sequence[Record]) -> dict[int, Value]:
    """By seed, the value of a name, where a record has it."""
    return {r.seed: value for r in records for value in r.values if value.name == name}


def _contest(rivals: Mapping[str, Runs]) -> Contest | None:
    """The tests between models, where there is one to be ahead in.

    A value that restates another is none: one question is tested once.
    """
    directed = any(
        value.better and not value.restates for runs in rivals.values() for value in runs.values()
    )
    return contest(rivals) if directed and len(rivals) > 1 else None


def _ends(values: Sequence[Value]) -> tuple[Cell, Cell]:
    """Floor and ceiling; the further anchors stand under the ceiling, each with its number."""
    floor, ceiling = (
        _anchor(anchor for anchor in anchors if anchor)
        for anchors in ([v.floor for v in values], [v.ceiling for v in values])
    )
    further: dict[str, list[float]] = {}
    for anchor in (anchor for value in values for anchor in value.anchors):
        further.setdefault(anchor.of, []).append(anchor.value)
    lines = [f"{_range(numbers)}: {of}" for of, numbers in further.items()]
    return floor, replace(ceiling, notes=(*ceiling.notes, *lines))


def _anchor(anchors: Iterable[Anchor]) -> Cell:
    """One number, or the range where runs have measured their own, and what it was measured on."""
    given = list(anchors)
    if not given:
        return Cell("none", missing=True)
    numbers = [anchor.value for anchor in given]
    return Cell(_range(numbers), tuple(dict.fromkeys(a.of for a in given)), order=min(numbers))


def _range(numbers: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(number(end(numbers)) for end in (min, max)))
