"""Whether extractors agree: one question, asked of two sets of features, may get two answers."""

from collections.abc import Sequence

from gen_models.reporting.cells import Row, Table
from gen_models.reporting.verdicts import Verdict
from gen_models.reporting.words import together

Camps = dict[tuple[str, str], dict[str, Verdict]]
"""By (ahead, behind): the extractors that see it so, with their verdicts."""


def disagreements(table: Table) -> tuple[list[str], list[str]]:
    """Sentences on the questions that two extractors answer differently.

    Values of one title and direction that differ in their extractor are views of one question. A
    distance depends on its features as much as on the models, so that an order of models that turns
    round with the features is no order.

    Args:
        table: From `measurement_table`.

    Returns:
        Where both answers are beyond their errors; then the rest: where they are not, or that the
        extractors agree on all they share, and nothing where there is one extractor alone.
    """
    views = _views(table)
    told: dict[tuple[bool, str], list[str]] = {}
    for (title, _), rows in views.items():
        for key in _splits(_camps(rows)):
            told.setdefault(key, []).append(title)
    sentences = {
        strong: [
            f"The extractors disagree on {together(titles)}, {'beyond' if strong else 'within'}"
            f" their errors: {camps}; trust neither alone."
            for (beyond, camps), titles in told.items()
            if beyond == strong
        ]
        for strong in (True, False)
    }
    if views and not told:
        names = dict.fromkeys(_extractor(row) for rows in views.values() for row in rows)
        sentences[False] = [
            f"The extractors {together(list(names))} order the models alike on all that they share."
        ]
    return sentences[True], sentences[False]


def _views(table: Table) -> dict[tuple[str, str | None], list[Row]]:
    """Tested rows by title and direction, where several extractors have one."""
    rows: dict[tuple[str, str | None], list[Row]] = {}
    for row in table.rows:
        if row.contest and row.values[0].extractor:
            rows.setdefault((row.values[0].title, row.values[0].better), []).append(row)
    return {key: found for key, found in rows.items() if len(set(map(_extractor, found))) > 1}


def _extractor(row: Row) -> str:
    return row.values[0].extractor or ""


def _camps(rows: Sequence[Row]) -> Camps:
    camps: Camps = {}
    for row in rows:
        assert row.contest is not None
        for pair, verdict in row.contest.pairs.items():
            if verdict.difference:
                camps.setdefault(pair, {})[_extractor(row)] = verdict
    return camps


def _splits(camps: Camps) -> list[tuple[bool, str]]:
    """For each pair of models seen both ways round: whether both are decided, and who sees what."""
    splits = []
    for (one, other), mine in camps.items():
        theirs = camps.get((other, one))
        # Either way round the pair is met twice; its first mention tells of both.
        if theirs and list(camps).index((one, other)) < list(camps).index((other, one)):
            strong = all(any(v.decided for v in camp.values()) for camp in (mine, theirs))
            by, against = together(list(mine)), together(list(theirs))
            splits.append(
                (strong, f"by {by} {one} is ahead of {other}, by {against} {other} of {one}")
            )
    return splits
