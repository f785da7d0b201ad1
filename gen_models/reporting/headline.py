"""The few questions that a comparison is made for, answered in words."""

from collections.abc import Sequence
from statistics import median

from gen_models.reporting.answers import QUESTIONS, Answer, answer, opened
from gen_models.reporting.cells import Row, Table
from gen_models.reporting.estimates import number
from gen_models.reporting.findings import happened
from gen_models.reporting.groups import CROWD, Group
from gen_models.reporting.search_budget import bought
from gen_models.reporting.words import fairness, few, measured, together, trained

SHARES = ("copies_", "duplicates_")
"""Prefixes of shares that tell of copies where they are above those of real data."""

COPYING = "copying_"
"""Prefix of the statistic that tells of copies where it is below `FAR`."""

FAR = -3
"""Deviations: models that copy nothing fall below it about once in a thousand measurements."""


def headline(groups: Sequence[Group], measurements: Table, cost: Table) -> list[Answer]:
    """Answer each question that the records can answer, always in the same order.

    Args:
        groups: The models of a section.
        measurements: From `measurement_table`, of these groups.
        cost: From `cost_table`, of these groups.

    Returns:
        Fidelity, diversity, likelihood, reconstruction, cost, failures; without those that nothing
        was measured for, and without failures where there are none.
    """
    labels = [group.label for group in groups]
    answers = [answer(question, labels, measurements) for question in QUESTIONS]
    answers += [_cost(groups, cost), _failures(groups, measurements)]
    if len(groups) > CROWD:
        answers.insert(0, _search(groups))
    return [found for found in answers if found]


def _search(groups: Sequence[Group]) -> Answer | None:
    """What to expect of the best of k configurations, where there are too many to compare."""
    found = bought(groups)
    if not found:
        return None
    clause, told = found
    return Answer(
        "Search",
        "What does trying configurations buy?",
        f"{opened(clause, [group.model for group in groups])}.",
        tuple(told),
        "Not tested: expectations over which configurations are tried, chosen on validation images",
    )


def _cost(groups: Sequence[Group], cost: Table) -> Answer | None:
    """Median seconds, their ratios where all runs had the same hardware, and what was equal."""
    taken = {
        group.label: [record.budget.training_seconds for record in group.records]
        for group in groups
    }
    # A run that only measured took no seconds to train.
    seconds = {label: median(given) for label, given in taken.items() if given and median(given)}
    if not seconds:
        return None
    machines = [record.hardware for group in groups for record in trained(group)]
    alike = all(machine == machines[0] for machine in machines)
    counts = sorted({len(given) for given in taken.values() if given})
    runs = "one run each" if counts == [1] else f"medians of {together([*map(str, counts)])} runs"
    hardware = f", {'the same' if alike else 'different'} hardware"
    equal, unequal = fairness(groups, cost)
    return Answer(
        "Cost",
        "What did training take?",
        f"{opened(_pace(seconds, alike), list(seconds))}.",
        (
            *_each("Seconds" if counts == [1] else "Median seconds", seconds, alike),
            *equal,
            *unequal,
        ),
        f"Not tested: {runs}{hardware if len(seconds) > 1 else ''}",
    )


def _pace(seconds: dict[str, float], alike: bool) -> str:
    first, *others = sorted(seconds, key=lambda label: seconds[label])
    if not others:
        return f"{first} trained for {number(seconds[first])} seconds"
    if not alike:
        return "seconds are not compared, because the hardware differs"
    slowest = f"{others[-1]}, the slowest," if others[1:] else others[-1]
    return f"{first} trained fastest; {slowest} took {_times(seconds, others[-1])} as long"


def _each(what: str, seconds: dict[str, float], alike: bool) -> list[str]:
    fastest = min(seconds.values())
    each = [
        f"{label} {number(given)}"
        + (f" ({_times(seconds, label)})" if alike and given > fastest else "")
        for label, given in sorted(seconds.items(), key=lambda item: item[1])
    ]
    told = together(each) if len(each) <= CROWD else few(each)
    return [f"{what} of training: {told}."] if each[1:] else []


def _times(seconds: dict[str, float], label: str) -> str:
    return f"{number(seconds[label] / min(seconds.values()), 2)} times"


def _failures(groups: Sequence[Group], measurements: Table) -> Answer | None:
    labels = [group.label for group in groups]
    told = [
        *(clause for group in groups for clause in _unfinished(group)),
        *(
            f"{kind} ({together(whom)})"
            for kind, whom in happened(groups).items()
            if "collapse" in kind
        ),
        *(clause for row in measurements.rows for clause in _copies(row, labels)),
        *(clause for row in measurements.rows for clause in _copying(row, groups)),
    ]
    if not told:
        return None
    sentence = f"{opened('; '.join(told))}."
    return Answer("Failures", "What went wrong?", sentence, (), "Counted, not tested")


def _unfinished(group: Group) -> list[str]:
    total = len(group.runs)
    ends = [run.record.status for run in group.unfinished]
    runs = "run" if total == 1 else "runs"
    return [
        f"{ends.count(end)} of {total} {runs} of {group.label} {end}" for end in dict.fromkeys(ends)
    ]


def _copies(row: Row, labels: Sequence[str]) -> list[str]:
    name, floors = row.values[0].name, [value.floor.value for value in row.values if value.floor]
    limit = max(floors, default=0)
    return [
        f"{row.head.text}: {label} {found}, above {number(limit)}"
        for label, found in measured(labels, row).items()
        if name.startswith(SHARES) and found.value > limit
    ]


def _copying(row: Row, groups: Sequence[Group]) -> list[str]:
    """The models of which a run copies, which the mean over several may hide."""
    told, name = [], row.values[0].name
    means = measured([group.label for group in groups], row)
    for group in groups if name.startswith(COPYING) else ():
        values = [v.value for record in group.records for v in record.values if v.name == name]
        runs = [value for value in values if value is not None]
        if fallen := sum(value < FAR for value in runs):
            whose = f"{group.label} {means.get(group.label, '')}".strip()
            of = f"in {fallen} of {len(runs)} runs " if len(runs) > 1 else ""
            # Samples without the data's noise lie near training images, too: a mean is no copy.
            what = "copies, or samples without the noise of the data"
            told.append(f"{row.head.text}: {whose}, {of}below {number(FAR)}: {what}")
    return told
