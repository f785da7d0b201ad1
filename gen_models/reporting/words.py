"""Sentences written from the numbers of a table, and only from them."""

from collections.abc import Sequence

from gen_models.reporting.estimates import Estimate
from gen_models.reporting.groups import Group
from gen_models.reporting.runs import Run, Unreadable
from gen_models.reporting.tables import Cell, Row, Table


def together(words: Sequence[str]) -> str:
    """Join as prose.

    >>> together(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1] if words else "")))


def tally(runs: Sequence[Run | Unreadable]) -> str:
    """How many runs there are and how they ended.

    >>> from pathlib import Path
    >>> tally([Unreadable(Path("0"), "no record.json")])
    '1 run: 1 without a readable record.'
    """
    ends = [
        run.record.status if isinstance(run, Run) else "without a readable record" for run in runs
    ]
    counted = [f"{ends.count(end)} {end}" for end in dict.fromkeys(ends)]
    return f"{len(runs)} run{'s' * (len(runs) != 1)}: {together(counted)}."


def fairness(groups: Sequence[Group], cost: Table) -> list[str]:
    """Whether the models had the same budget and the same generator."""
    told = []
    for row in cost.rows:
        if row.head.text not in ("Images seen", "Parameters, generator"):
            continue
        what = row.head.text.lower()
        shown = dict(
            zip((group.label for group in groups), (c.text for c in row.cells), strict=True)
        )
        shown = {label: text for label, text in shown.items() if text != "none"}
        if len(set(shown.values())) == 1 and len(shown) > 1:
            told.append(f"Equal for all models: {what} ({next(iter(shown.values()))}).")
        elif len(shown) > 1:
            each = together([f"{label} {text}" for label, text in shown.items()])
            told.append(f"Not equal, so compare with care: {what} ({each}).")
    return told


def findings(labels: Sequence[str], table: Table) -> list[str]:
    """Who is better at what, where no winner can be named, and who alone was measured.

    Args:
        labels: Of the models, in the order of the table's first cells.
        table: From `measurement_table`.
    """
    told: dict[tuple[int, str], list[str]] = {}
    for row in table.rows:
        rank, beginning, what = _verdict(_rivals(labels, row), row)
        if beginning and len(labels) > 1:
            told.setdefault((rank, beginning), []).append(what)
    # Winners first, then what stays open; among equals, in the order of the table.
    return [f"{key[1]} {together(told[key])}." for key in sorted(told, key=lambda key: key[0])]


def _verdict(rivals: dict[str, Cell], row: Row) -> tuple[int, str, str]:
    """The rank of the sentence on a row, how it begins, and what the row adds to it."""
    winner = next((label for label, cell in rivals.items() if cell.best), None)
    if winner:
        degree = "better" if len(rivals) == 2 else "best"
        return 0, f"{winner} is {degree} on", _victory(winner, rivals, row)
    if len(rivals) == 1:
        return 3, f"Measured for {next(iter(rivals))} alone:", row.head.text
    if not rivals or not row.values[0].better:
        return 4, "", ""
    if not row.comparable:
        return 2, "Units or protocols differ, so nothing is compared on", row.head.text
    return (*_undecided(rivals), row.head.text)


def _undecided(rivals: dict[str, Cell]) -> tuple[int, str]:
    if all(_estimate(cell).low is not None for cell in rivals.values()):
        return 1, "The intervals allow no winner on"
    return 2, "Without an interval for each model, no winner is named on"


def _rivals(labels: Sequence[str], row: Row) -> dict[str, Cell]:
    # A row has two cells more than there are models: floor and ceiling.
    return {label: cell for label, cell in zip(labels, row.cells, strict=False) if cell.estimate}


def _victory(winner: str, rivals: dict[str, Cell], row: Row) -> str:
    sign = -1 if row.values[0].better == "higher" else 1
    others = {label: _estimate(cell) for label, cell in rivals.items() if label != winner}
    second = min(others, key=lambda label: sign * others[label].value)
    return (
        f"{row.head.text} ({_estimate(rivals[winner])} against {second} {others[second]},"
        f" {row.values[0].unit})"
    )


def _estimate(cell: Cell) -> Estimate:
    assert cell.estimate is not None
    return cell.estimate


def caution(table: Table) -> list[str]:
    """What intervals of single runs leave out."""
    bases = {cell.estimate.basis for row in table.rows for cell in row.cells if cell.estimate}
    if "over samples" not in bases:
        return []
    return [
        "Intervals over samples hold one training of each model fixed: another seed may differ by"
        " more than they say."
    ]


def positions(labels: Sequence[str], table: Table) -> list[str]:
    """Where each model stands between floor (0 %) and ceiling (100 %), and who is past an end."""
    told, past = [], []
    for row in table.rows:
        ends = _span(row)
        if not ends:
            continue
        floor, ceiling = ends
        stands = {
            label: 100 * (_estimate(cell).value - floor) / (ceiling - floor)
            for label, cell in _rivals(labels, row).items()
        }
        if stands:
            each = ", ".join(f"{label} {percent:.3g} %" for label, percent in stands.items())
            told.append(f"{row.head.text} ({each})")
        past += [
            f"{label} on {row.head.text}" for label, percent in stands.items() if percent >= 100
        ]
    if not told:
        return []
    sentence = f"The way from floor (0 %) to ceiling (100 %): {together(told)}."
    return [sentence, *([f"No better than the trivial model: {together(past)}."] if past else [])]


def _span(row: Row) -> tuple[float, float] | None:
    """Mean floor and mean ceiling over the runs, where there are both and they differ."""
    floors = [value.floor.value for value in row.values if value.floor]
    ceilings = [value.ceiling.value for value in row.values if value.ceiling]
    if not floors or not ceilings:
        return None
    ends = sum(floors) / len(floors), sum(ceilings) / len(ceilings)
    return ends if ends[0] != ends[1] else None


def origins(groups: Sequence[Group]) -> list[str]:
    """A warning where the runs come from different code or machines."""
    records = [record for group in groups for record in group.records]
    told = []
    commits = dict.fromkeys((record.commit or "none")[:10] for record in records)
    if len(commits) > 1:
        told.append(f"The runs come from different commits: {together(list(commits))}.")
    devices = dict.fromkeys(str(record.hardware.get("device", "unknown")) for record in records)
    if len(devices) > 1:
        told.append(
            f"The runs were made on different devices ({together(list(devices))}): their seconds"
            " cannot be compared."
        )
    return told
