"""The column of a table that says how sure it is that models differ."""

from collections.abc import Sequence
from dataclasses import replace

from gen_models.reporting.cells import Cell, Row
from gen_models.reporting.contests import Contest
from gen_models.reporting.verdicts import Verdict, written


def with_tests(rows: Sequence[Row]) -> tuple[Cell, list[Row]]:
    """The head of the column of tests, and the rows with their tests before floor and ceiling.

    Where all tests are one and the same, the head says which; else each cell does.
    """
    contests = [row.contest for row in rows if row.contest]
    tests = {v.test for found in contests for v in found.pairs.values() if v.p is not None}
    notes = (
        *(tests if len(tests) == 1 else ()),
        "two-sided" if tests else "",
        "Holm's correction" if any(len(found.ranking) > 2 for found in contests) else "",
    )
    return Cell("Test", tuple(filter(None, notes))), [
        replace(row, cells=(*row.cells[:-2], cell, *row.cells[-2:]))
        for row in rows
        for cell in (_cell(row.contest, len(tests) > 1, row.values[0].restates),)
    ]


def _cell(contest: Contest | None, named: bool, restated: str | None) -> Cell:
    """The p of the leading model, and a note on each of the others."""
    if contest is None:
        again = f"restates {restated}" if restated else ""
        return Cell("none", tuple(filter(None, (again,))), missing=True)
    alone = len(contest.leading) == 1
    notes = tuple(
        _told(contest.ranking[0], other, verdict, named, alone)
        for other, verdict in contest.leading.items()
    )
    text = "none" if contest.p is None else written(contest.p)
    return Cell(text, notes, missing=contest.p is None, order=contest.p)


def _told(first: str, other: str, verdict: Verdict, named: bool, alone: bool) -> str:
    """One pair in a note; the p of a pair that is alone stands above."""
    if not verdict.difference:
        stands = f"{first} level with {other}"
    else:
        stands = f"{first} ahead" if alone else f"{first} ahead of {other}"
        if verdict.superiority is not None:
            stands += f" in {100 * verdict.superiority:.0f} % of pairs"
    p = written(verdict.p) if verdict.p is not None and not alone else ""
    test = verdict.test if named or verdict.p is None else ""
    return ", ".join(filter(None, (stands, p, test)))
