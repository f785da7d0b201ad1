"""What a section has to say in words: few warnings to be seen at once, all the rest to look up."""

from collections import Counter
from collections.abc import Sequence

from gen_models.reporting import words
from gen_models.reporting.agreement import condensed, disagreements
from gen_models.reporting.cells import Table
from gen_models.reporting.configurations import below, differing, flat
from gen_models.reporting.groups import ASIDE, FILES, MEASURED, Group
from gen_models.reporting.words import few, together


def warnings(groups: Sequence[Group], measurements: Table, cost: Table) -> list[str]:
    """At most three lines: extractors that disagree, events in training, unequal conditions.

    Args:
        groups: The models of a section.
        measurements: From `measurement_table`, of these groups.
        cost: From `cost_table`, of these groups.
    """
    _, unequal = words.fairness(groups, cost)
    events = together([f"{kind} ({together(runs)})" for kind, runs in happened(groups).items()])
    trained = f"Training was warned of {events}." if events else ""
    _, unalike = words.sampling(groups)
    return [*condensed(measurements), *filter(None, (trained, " ".join([*unequal, *unalike])))]


def happened(groups: Sequence[Group]) -> dict[str, list[str]]:
    """The kinds of events in training, with the runs of each model that had them, counted.

    Returns:
        By kind: "gan in 2 of 3 runs", a text for each model.
    """
    told: dict[str, list[str]] = {}
    for group in groups:
        runs = [run.record for run in group.runs]
        had = Counter(kind for run in runs for kind in {event.kind for event in run.events})
        for kind in sorted(had):
            of = f"{had[kind]} of {len(runs)} run{'s' * (len(runs) != 1)}"
            told.setdefault(kind, []).append(f"{group.label} in {of}")
    return told


def all_findings(groups: Sequence[Group], measurements: Table, cost: Table) -> dict[str, list[str]]:
    """Every sentence, under its heading; a heading with nothing to say is left out.

    Args:
        groups: The models of a section.
        measurements: From `measurement_table`, of these groups.
        cost: From `cost_table`, of these groups.
    """
    labels = [group.label for group in groups]
    equal, unequal = words.fairness(groups, cost)
    alike, unalike = words.sampling(groups)
    strong, others = disagreements(measurements)
    told = [
        (f"{group.label}, seed {run.record.seed}, ", run.record)
        for group in groups
        for run in group.runs
    ]
    parts = {
        "Winners, and what stays open": words.findings(labels, measurements),
        "Agreement of the extractors": [*strong, *others],
        "Between floor and ceiling": words.positions(labels, measurements),
        "Caution": words.caution(measurements),
        "Events in training": words.warned(told),
        "Conditions": [
            *equal,
            *unequal,
            *alike,
            *unalike,
            *words.origins(groups),
            *(sentence for group in groups for sentence in (*_cut_short(group), *_unlike(group))),
        ],
    }
    return {heading: sentences for heading, sentences in parts.items() if sentences}


def _cut_short(group: Group) -> list[str]:
    """Which runs are finished before their budget was spent, and count all the same."""
    records = [run.record for run in group.runs]
    told = [f"seed {record.seed} {record.reason}" for record in records if record.reason]
    return [f"{group.label}: {'; '.join(told)}."] if told else []


def _unlike(group: Group) -> list[str]:
    """In what the configurations of one model's runs differ, though they count as one."""
    configs = [flat(run.record.config) for run in (*group.runs, *group.repeated)]
    keys = [key for key in differing(configs) if not below(key, ASIDE)]
    measured = [key for key in keys if below(key, MEASURED)]
    files = [key for key in keys if f"{key}.folder" in FILES or key in FILES]
    later = [key for key in keys if key not in (*measured, *files)]
    told = {
        "its runs were measured by different settings; each number counts those that have it": (
            measured
        ),
        "its runs are of different files, and count as seeds of one model": files,
        "older runs lack keys that came later, and count as run by the defaults": later,
    }
    return [f"{group.label}: {what} ({few(which)})." for what, which in told.items() if which]
