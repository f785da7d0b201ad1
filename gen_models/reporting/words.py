"""Sentences written from the numbers of a table, and only from them."""

from collections.abc import Sequence

from gen_models.records import Record
from gen_models.reporting.cells import Row, Table
from gen_models.reporting.contests import Contest
from gen_models.reporting.estimates import Estimate, number, percentage
from gen_models.reporting.groups import CROWD, Group
from gen_models.reporting.runs import Run, Unreadable
from gen_models.reporting.verdicts import LEVEL, written

MANY = 10
"""So many tests at once want a word of caution: half a row is then expected to win by chance."""


FEW = 4
"""So many models are named in one clause; of a search's many, the rest is counted."""


def few(labels: Sequence[str]) -> str:
    """Join as prose, the first few by name.

    >>> few(["a", "b", "c", "d", "e", "f"])
    'a, b, c and 3 others'
    """
    if len(labels) <= FEW:
        return together(labels)
    return together([*labels[: FEW - 1], f"{len(labels) - FEW + 1} others"])


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


def fairness(groups: Sequence[Group], cost: Table) -> tuple[list[str], list[str]]:
    """Whether the models had the same budget and the same generator.

    Returns:
        Sentences on what was equal, and on what was not.
    """
    equal, unequal = [], []
    for row in cost.rows:
        if row.head.text not in ("Images seen", "Parameters, generator"):
            continue
        what = row.head.text.lower()
        shown = dict(
            zip((group.label for group in groups), (c.text for c in row.cells), strict=True)
        )
        shown = {label: text for label, text in shown.items() if text != "none"}
        if len(set(shown.values())) == 1 and len(shown) > 1:
            whom = "all models" if len(shown) == len(groups) else "all models that have it"
            equal.append(f"Equal for {whom}: {what} ({next(iter(shown.values()))}).")
        elif len(shown) > 1:
            texts = [f"{label} {text}" for label, text in shown.items()]
            each = together(texts if len(shown) <= CROWD else sorted(set(shown.values())))
            unequal.append(f"Not equal, so compare with care: {what} ({each}).")
    return equal, unequal


def findings(labels: Sequence[str], table: Table) -> list[str]:
    """Who is better at what, where no winner can be named, and who alone was measured.

    Args:
        labels: Of the models, in the order of the table's first cells.
        table: From `measurement_table`.
    """
    told: dict[tuple[int, str, str], list[str]] = {}
    for row in table.rows:
        rank, beginning, what = _finding(measured(labels, row), row)
        if beginning and len(labels) > 1:
            told.setdefault((rank, row.aspect, beginning), []).append(what)
    # Winners first, then what stays open; among equals, in the order of the table.
    return [
        f"{_under(key[1], key[2])} {together(told[key])}."
        for key in sorted(told, key=lambda key: key[0])
    ]


def _under(aspect: str, sentence: str) -> str:
    return f"{aspect.capitalize()}: {sentence}" if aspect else sentence


def _finding(rivals: dict[str, Estimate], row: Row) -> tuple[int, str, str]:
    """The rank of the sentence on a row, how it begins, and what the row adds to it."""
    if row.differing:
        fields = together(row.differing)
        return 2, f"The runs differ in {fields}, so nothing is compared on", row.head.text
    if len(rivals) == 1 and not row.apart and not row.values[0].restates:
        return 3, f"Measured for {next(iter(rivals))} alone:", row.head.text
    if not row.contest:
        return 4, "", ""
    return _outcome(row.contest, rivals, row)


def _outcome(contest: Contest, rivals: dict[str, Estimate], row: Row) -> tuple[int, str, str]:
    if contest.p is None and row.aspect:
        return 4, "", ""  # one of many: the table says why
    if contest.p is None:
        (lacking, *_) = [v.test for v in contest.leading.values() if v.p is None]
        return 2, f"No test {lacking}, so no winner is named on", row.head.text
    if not contest.winner:
        return 1, "The tests allow no winner on", f"{row.head.text} ({written(contest.p)})"
    degree = "better" if len(contest.ranking) == 2 else "best"
    return 0, f"{contest.winner} is {degree} on", _victory(contest, rivals, row)


def measured(labels: Sequence[str], row: Row) -> dict[str, Estimate]:
    """The models' numbers in a row, by label; models without one are left out."""
    # A row has more cells than there are models: the tests, floor and ceiling.
    cells = zip(labels, row.cells, strict=False)
    return {label: cell.estimate for label, cell in cells if cell.estimate}


def _victory(contest: Contest, rivals: dict[str, Estimate], row: Row) -> str:
    assert contest.p is not None
    # Rows with an aspect are many: their numbers stand in the table, their p says enough here.
    if row.aspect:
        return f"{row.head.text} ({written(contest.p)})"
    best, second = (rivals[label] for label in contest.ranking[:2])
    return (
        f"{row.head.text} ({best} against {contest.ranking[1]} {second}, {row.values[0].unit},"
        f" {written(contest.p)})"
    )


def caution(table: Table) -> list[str]:
    """What intervals leave out, and what testing many rows at once brings in."""
    bases = {cell.estimate.basis for row in table.rows for cell in row.cells if cell.estimate}
    told = []
    if "over samples" in bases:
        told.append(
            "Intervals and tests over samples hold one training of each model fixed: another seed"
            " may differ by more than they say."
        )
    if any(basis.endswith("seeds") for basis in bases):
        told.append(
            "Seeds share the test images and, unless evaluation.seed says otherwise, the draws of"
            " evaluation: where the error within a run exceeds the deviation between seeds, other"
            " images may move a number by more than its interval over seeds says."
        )
    tested = [row.contest for row in table.rows if row.contest and row.contest.p is not None]
    if len(tested) >= MANY:
        below = sum(contest.winner is not None for contest in tested)
        told.append(
            f"{len(tested)} rows are tested at once: if the models did not differ, up to about"
            f" {number(LEVEL * len(tested), 2)} of them would still be expected below p = {LEVEL}"
            f" by chance; found there: {below}. One small p among many rows is no finding."
        )
    return told


def positions(labels: Sequence[str], table: Table) -> list[str]:
    """Where each model stands between floor (0 %) and ceiling (100 %), and who is past an end.

    Rows with an aspect say the first in their cells.
    """
    told, past = [], []
    for row in table.rows:
        found = measured(labels, row)
        stands = [
            f"{label} {percentage(estimate.way)}"
            for label, estimate in found.items()
            if estimate.way is not None
        ]
        if stands and not row.aspect:
            told.append(f"{row.head.text} ({', '.join(stands)})")
        past += [
            f"{label} on {row.head.text}" for label, estimate in found.items() if estimate.past
        ]
    ways = f"The way from floor (0 %) to ceiling (100 %): {together(told)}." if told else ""
    ends = f"No better than the trivial model: {together(past)}." if past else ""
    return list(filter(None, (ways, ends)))


def origins(groups: Sequence[Group]) -> list[str]:
    """A warning where the runs come from different code or machines."""
    records = [record for group in groups for record in group.records]
    told = []
    commits = dict.fromkeys((record.commit or "none")[:10] for record in records)
    if len(commits) > 1:
        told.append(f"The runs come from different commits: {together(list(commits))}.")
    devices = dict.fromkeys(
        str(record.hardware.get("device", "unknown"))
        for group in groups
        for record in trained(group)
    )
    if len(devices) > 1:
        told.append(
            f"The runs were made on different devices ({together(list(devices))}): their seconds"
            " cannot be compared."
        )
    return told


def trained(group: Group) -> list[Record]:
    """The group's records of runs that trained, and did not only measure."""
    return [record for record in group.records if record.budget.training_seconds]


def sampling(groups: Sequence[Group]) -> tuple[list[str], list[str]]:
    """How the samples were drawn, where records say so.

    Returns:
        As `fairness`: a sentence where all models draw alike, and one where they do not.
    """
    ways: dict[str, list[str]] = {}
    for group in groups:
        drawn = dict.fromkeys(record.sampling or "not recorded" for record in group.records)
        if drawn:
            ways.setdefault(" or ".join(drawn), []).append(group.label)
    if not any(record.sampling for group in groups for record in group.records):
        return [], []
    if len(ways) == 1:
        return [f"Samples of all models are drawn alike: {next(iter(ways))}."], []
    told = "; ".join(f"{way} ({few(labels)})" for way, labels in ways.items())
    return [], [f"Samples are not drawn alike: {told}."]


def warned(runs: Sequence[tuple[str, Record]]) -> list[str]:
    """What training was warned of, a sentence each; a run's label goes before it.

    >>> warned([])
    []
    """
    return [
        f"{label}{event.kind} at {number(event.images)} images: {event.text}"
        for label, record in runs
        for event in record.events
    ]
