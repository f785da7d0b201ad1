"""Where a section's numbers come from: configurations, code, machines, and the commands."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from gen_models.records import Record
from gen_models.reporting.cells import Cell, Row, Table
from gen_models.reporting.configurations import ABSENT, differing, flat, plain
from gen_models.reporting.defaults import RUN
from gen_models.reporting.groups import Group

OWN = ("seed=", "resume=", "hydra.run.dir=", "hydra.sweep.dir=")
"""How the words of a command begin that speak of one run and its folder alone."""

WIDTH = 40
"""Characters of a value in a table; report.json has the rest."""


@dataclass(frozen=True)
class Origins:
    """Where a section's numbers come from.

    Attributes:
        alike: What all runs share of commit, versions and hardware, a sentence each.
        apart: Seeds, and of these what is not shared; a column for each model.
        configurations: Where the models' configurations differ; a column for each model.
        commands: By model, what makes its runs again: one command for all seeds, where it can be.
        single: The commands that made the runs, one by one.
    """

    alike: tuple[str, ...]
    apart: Table
    configurations: Table
    commands: dict[str, tuple[str, ...]]
    single: tuple[str, ...]


def origins(groups: Sequence[Group]) -> Origins:
    """Gather where the numbers of groups come from, unfinished and repeated runs included."""
    facts = [[_facts(record) for record in _records(group)] for group in groups]
    alike: dict[str, list[str]] = {}
    rows = [Row(Cell("Seeds"), tuple(Cell(_seeds(group)) for group in groups))]
    for kind, name in dict.fromkeys(key for mine in facts for fact in mine for key in fact):
        texts = [dict.fromkeys(fact.get((kind, name), "none") for fact in mine) for mine in facts]
        if len(set().union(*texts)) == 1:
            alike.setdefault(kind, []).append(f"{name} {next(iter(texts[0]))}".strip())
        else:
            cells = tuple(_cell(" / ".join(text)) for text in texts)
            rows.append(Row(Cell(f"{kind}: {name}" if name else kind), cells))
    return Origins(
        tuple(f"{kind} of all runs: {', '.join(told)}." for kind, told in alike.items()),
        _table("Seeds, and what is not alike in all runs.", "Origin", groups, rows),
        _configurations(groups),
        {group.label: again(_records(group)) for group in groups},
        tuple(dict.fromkeys(_one_line(r.command) for group in groups for r in _records(group))),
    )


def differences(groups: Sequence[Group]) -> dict[str, dict[str, str]]:
    """By dotted key and label, in full: where configurations differ, as JSON text or "absent".

    Seeds and places are left out, as they are where runs are put into groups, and Hydra's mark of
    a factory, which follows from the target.
    """
    configs = {group.label: flat(_records(group)[0].config) for group in groups}
    return {
        key: {label: config.get(key, ABSENT) for label, config in configs.items()}
        for key in sorted(differing(list(configs.values())))
        if not key.endswith("._partial_")
    }


def again(records: Sequence[Record]) -> tuple[str, ...]:
    """The fewest commands that make runs of one model again, ready for a shell.

    Runs of `run.py` that differ in nothing but the seed become one of Hydra's sweeps; the commands
    that measured runs again follow those that trained them.
    """
    seeds: dict[tuple[str, ...], list[int]] = {}
    for record in records:
        seeds.setdefault(_without_seed(record.command), []).append(record.seed)
    trained = [_joined(words, sorted(set(found))) for words, found in seeds.items()]
    measured = [_one_line(record.measured.command) for record in records if record.measured]
    return tuple(dict.fromkeys([*trained, *measured]))


def _records(group: Group) -> list[Record]:
    return [run.record for run in (*group.runs, *group.repeated)]


def _facts(record: Record) -> dict[tuple[str, str], str]:
    """What may differ from run to run, by kind and name."""
    later = record.measured
    facts = {("Commit", ""): record.commit or "none"}
    for kind, found in (("Versions", record.versions), ("Hardware", record.hardware)):
        facts |= {(kind, str(name)): str(item) for name, item in found.items()}
    if later:
        other = {name: v for name, v in later.versions.items() if v != record.versions.get(name)}
        told = [later.created[:10], f"commit {later.commit or 'none'}"]
        told += [f"{name} {version}" for name, version in other.items()]
        facts["Measured again", ""] = ", ".join(told)
    return facts


def _seeds(group: Group) -> str:
    return ", ".join(map(str, sorted({record.seed for record in _records(group)})))


def _configurations(groups: Sequence[Group]) -> Table:
    rows = [
        Row(Cell(key), tuple(_cell(plain(value)) for value in values.values()))
        for key, values in differences(groups).items()
    ]
    caption = (
        "What differs between the configurations, but for seeds and where data, caches and logs"
        " lie. A key that is absent has its default, or nothing to stand for. Long values are cut:"
        " report.json has all of them."
    )
    return _table(caption, "Key", groups, rows)


def _cell(text: str) -> Cell:
    return Cell(text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}...", missing=text == ABSENT)


def _table(caption: str, head: str, groups: Sequence[Group], rows: Sequence[Row]) -> Table:
    return Table(caption, (Cell(head), *(Cell(group.label) for group in groups)), tuple(rows))


def _without_seed(command: str) -> tuple[str, ...]:
    """Words of a command that others may share but for the seed; of another program all in one.

    How a run was gone on with is left out: made again, it is begun.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # a quotation mark without its partner
        words = []
    # A word over several lines is left as it was recorded: what is told stands on one.
    if " ".join(words[:2]) != RUN or not "".join(words).isprintable():
        return (_one_line(command),)
    return tuple(word for word in words if word != "ckpt_path=last" and not word.startswith(OWN))


def _joined(words: tuple[str, ...], seeds: Sequence[int]) -> str:
    if len(words) == 1:
        return words[0]
    sweep = ["-m"] if len(seeds) > 1 else []
    seed = f"seed={','.join(map(str, seeds))}"
    return shlex.join([*words[:2], *sweep, *words[2:], seed])


def _one_line(command: str) -> str:
    return " ".join(command.split())
