"""How a contest came out, in words: who leads, by how much, and how sure that is."""

import math
from collections.abc import Mapping, Sequence
from itertools import takewhile

from gen_models.reporting.cells import Row
from gen_models.reporting.contests import Contest
from gen_models.reporting.estimates import Estimate, number
from gen_models.reporting.groups import CROWD
from gen_models.reporting.verdicts import ONE_TRAINING, written
from gen_models.reporting.words import few, together


def leaders(contest: Contest) -> list[str]:
    """The model with the best mean, and those that no test puts behind it, in their order."""
    level = [other for other, verdict in contest.leading.items() if not verdict.decided]
    return [contest.ranking[0], *level]


def outcome(rows: Sequence[Row], brief: bool = False) -> str:
    """Who leads by each extractor, and whether the extractors name nobody in common.

    Args:
        rows: With their tests; the views of one question.
        brief: With p in brackets, for where no numbers follow.
    """
    contests = contests_of(rows)
    tell = _brief if brief else _lead
    told: dict[str, list[str]] = {}
    for row, contest in zip(rows, contests, strict=True):
        told.setdefault(tell(contest), []).append(str(row.values[0].extractor))
    if len(rows) == 1:
        return next(iter(told))
    if len(told) == 1:
        ((words, extractors),) = told.items()
        return f"{words}, by {together(extractors)} alike"
    sentence = "; ".join(f"by {together(by)} {words}" for words, by in told.items())
    common = set.intersection(*(set(leaders(contest)) for contest in contests))
    return sentence if common else f"{sentence}: the extractors disagree, trust neither alone"


def contests_of(rows: Sequence[Row]) -> list[Contest]:
    """The contests of the rows that have one."""
    return [row.contest for row in rows if row.contest]


def _lead(contest: Contest) -> str:
    first, *level = leaders(contest)
    leading = contest.leading
    if len(level) == len(leading):
        if level[1:] and _lacking(contest) == "test":
            return f"{first} has the best mean, and no test"
        among = f"among the {len(leading) + 1} models" if level[1:] else "between the two models"
        return f"no {_lacking(contest)} {among}"
    if not level:
        return f"{first} is ahead of {'all others' if len(leading) > 1 else contest.ranking[1]}"
    untested = [o for o in level if leading[o].p is None and leading[o].difference]
    # A model of few or scattered seeds may be told from nobody and yet lie far behind.
    near = [other for other in takewhile(level.__contains__, leading) if other not in untested]
    lead = f"{few([first, *near])} lead, {first}" if near else f"{first} leads,"
    crowd = len(leading) >= CROWD
    if crowd and near:
        lead = f"{first} leads, {len(near)} not told from it,"
    without = f" (not tested: {few(untested)})" if untested else ""
    others = f"all others but {few(level)}"
    if crowd:
        others = f"{len(leading) - len(level)} of the {len(leading)} others"
    return f"{lead} ahead of {others}{without}"


def _lacking(contest: Contest) -> str:
    """What there is none of, where no model is ahead of another."""
    verdicts = contest.leading.values()
    if not any(verdict.difference for verdict in verdicts):
        return "difference"
    return "winner" if any(verdict.p is not None for verdict in verdicts) else "test"


def _brief(contest: Contest) -> str:
    first, *level = leaders(contest)
    p = "no test" if contest.p is None else written(contest.p)
    if len(level) == len(contest.leading):
        return f"no winner ({p})"
    whom = few(level) if len(contest.leading) < CROWD else f"{len(level)} others"
    return f"{first} not told from {whom} ({p})" if level else f"{first} ({p})"


def distance(row: Row, numbers: Mapping[str, Estimate]) -> str:
    """The model with the best mean beside the one that is hardest to tell from it.

    Args:
        row: With its tests.
        numbers: Of the row's models, by label.
    """
    assert row.contest is not None
    first, leading = row.contest.ranking[0], row.contest.leading

    def doubt(other: str) -> float:
        p = leading[other].p
        return math.inf if p is None else p

    rival = max(leading, key=doubt)
    found = leading[rival]
    largest = f", the largest of {len(leading)}" if len(leading) > 1 else ""
    p = f"no test {found.test}" if found.p is None else f"{written(found.p)}{largest}"
    return (
        f"{row.head.text}: {first} {numbers[first]} {'against' if found.decided else 'and'}"
        f" {rival} {numbers[rival]}, {row.values[0].unit}; {number(abs(found.difference), 3)}"
        f" apart ({p})."
    )


def certainty(contests: Sequence[Contest]) -> str:
    """How far the lead is decided, by which test, and what a lone training leaves open."""
    verdicts = [verdict for contest in contests for verdict in contest.leading.values()]
    tests = dict.fromkeys(verdict.test for verdict in verdicts if verdict.p is not None)
    if not tests:
        return f"No test possible: {together(list(dict.fromkeys(v.test for v in verdicts)))}"
    decided = [verdict.decided for verdict in verdicts]
    how = "Decided" if all(decided) else "Decided in part" if any(decided) else "Undecided"
    lone = "one training each, another seed may differ (normal test over samples)"
    by = together([lone if test == ONE_TRAINING else test for test in tests])
    holm = ", Holm's correction" if any(len(found.ranking) > 2 for found in contests) else ""
    return f"{how}: {by}{holm}"
