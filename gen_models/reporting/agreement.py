"""Whether extractors agree: one question, asked of two sets of features, may get two answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gen_models.reporting.cells import Row, Table
from gen_models.reporting.verdicts import Verdict
from gen_models.reporting.words import together

View = tuple[str, str | None, str]
"""Title, direction, and what follows the extractor in the name: sample count and split."""

Camps = dict[tuple[str, str], dict[str, Verdict]]
"""By (ahead, behind): the extractors that see it so, with their verdicts."""


@dataclass(frozen=True)
class Split:
    """Two models that are seen both ways round.

    Attributes:
        strong: Each way round is seen beyond the errors of an extractor.
        camps: Who sees which way, in words.
    """

    pair: frozenset[str]
    strong: bool
    camps: str


def disagreements(table: Table) -> tuple[list[str], list[str]]:
    """Sentences on the questions that two extractors answer differently.

    Values that differ in their extractor alone are views of one question. A
    distance depends on its features as much as on the models, so that an order of models that turns
    round with the features is no order.

    Args:
        table: From `measurement_table`.

    Returns:
        Where both answers are beyond their errors; then the rest: where they are not, or that the
        extractors agree on all they share, and nothing where there is one extractor alone.
    """
    views = _views(table)
    told: dict[Split, dict[str, None]] = {}
    for (title, *_), rows in views.items():
        for split in _splits(_camps(rows)):
            told.setdefault(split, {})[title] = None
    sentences = {
        strong: [
            f"The extractors disagree on {together(list(titles))},"
            f" {'beyond' if strong else 'within'} their errors: {split.camps}; trust neither alone."
            for split, titles in told.items()
            if split.strong == strong
        ]
        for strong in (True, False)
    }
    if views and not told:
        sentences[False] = [
            f"The extractors {together(_names(views))} order the models alike on all that they"
            " share."
        ]
    return sentences[True], sentences[False]


def condensed(table: Table) -> list[str]:
    """The disagreements beyond errors in one sentence, which counts them where they are several.

    Args:
        table: From `measurement_table`.
    """
    sentences, _ = disagreements(table)
    if len(sentences) < 2:
        return sentences
    views = _views(table)
    turned: dict[str, list[frozenset[str]]] = {}
    for (title, *_), rows in views.items():
        strong = [split.pair for split in _splits(_camps(rows)) if split.strong]
        turned.setdefault(title, []).extend(strong)
    pairs = {frozenset(pair) for rows in views.values() for pair in _camps(rows)}
    count = len(set().union(*turned.values()))
    titles = [title for title, found in turned.items() if found]
    which = "at least one of " if titles[1:] else ""
    return [
        f"The extractors {together(_names(views))} order {count} of {len(pairs)}"
        f" pair{'s' * (len(pairs) != 1)} of models differently, beyond their errors, on"
        f" {which}{together(titles)}: trust neither alone; each is listed under all findings."
    ]


def _views(table: Table) -> dict[View, list[Row]]:
    """Tested rows that differ in their extractor alone, where several have one."""
    rows: dict[View, list[Row]] = {}
    for row in table.rows:
        first = row.values[0]
        if row.contest and first.extractor:
            _, _, how = first.name.partition(first.extractor)
            rows.setdefault((first.title, first.better, how), []).append(row)
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


def _names(views: Mapping[Any, Sequence[Row]]) -> list[str]:
    return list(dict.fromkeys(_extractor(row) for rows in views.values() for row in rows))


def _splits(camps: Camps) -> list[Split]:
    """The pairs of models that are seen both ways round."""
    splits = []
    places = {pair: place for place, pair in enumerate(camps)}
    for (one, other), mine in camps.items():
        theirs = camps.get((other, one))
        # Either way round the pair is met twice; its first mention tells of both.
        if theirs and places[one, other] < places[other, one]:
            strong = all(any(v.decided for v in camp.values()) for camp in (mine, theirs))
            by, against = together(list(mine)), together(list(theirs))
            told = f"by {by} {one} is ahead of {other}, by {against} {other} of {one}"
            splits.append(Split(frozenset((one, other)), strong, told))
    return splits
