"""Which runs may be compared (a section), and which are one model over several seeds (a group)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gen_models.records import Record
from gen_models.reporting.configurations import ABSENT, below, differing, flat, plain
from gen_models.reporting.defaults import completed
from gen_models.reporting.runs import Run

CROWD = 12
"""Groups of a section beyond which they are a search: counted, not named; no lines of their own."""


MEASURED = ("evaluate", "evaluation")
"""The keys, and what lies below them, that say how a run was measured."""

ASIDE = (
    "data.download",
    "data.in_memory",
    "logger",
    "resume",
    "save_seconds",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trust",
)
"""Likewise, how training was watched, kept and gone on with, which changes nothing in it."""

FILES = ("samples", "ckpt_path.folder")
"""Likewise, which files a run is of. Each seed may have its own, as samples of one program have."""


@dataclass(frozen=True)
class Group:
    """One model in one configuration; its finished runs, one per seed, are what is averaged."""

    label: str
    finished: tuple[Run, ...]
    unfinished: tuple[Run, ...]
    repeated: tuple[Run, ...] = ()

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of the finished runs."""
        return tuple(run.record for run in self.finished)

    @property
    def runs(self) -> tuple[Run, ...]:
        """All but the repeated, the finished ones first; there is at least one."""
        return (*self.finished, *self.unfinished)

    @property
    def model(self) -> str:
        """The model's name, without what tells its configurations apart."""
        return self.runs[0].record.model

    @property
    def count(self) -> str:
        """How many of the seeds finished, in words."""
        total = len(self.runs)
        return f"{len(self.finished)} of {total} run{'s' * (total != 1)} finished"


@dataclass(frozen=True)
class Section:
    """Groups whose numbers may stand in one table: same images, same shape, same split."""

    title: str
    why: str
    groups: tuple[Group, ...]


def sections(runs: Sequence[Run]) -> list[Section]:
    """Put runs into sections by their data and into groups by their configuration.

    Args:
        runs: In any order, which the sections and groups keep.
    """
    by_data: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        by_data.setdefault(_data_key(run.record), []).append(run)
    first = next((key for key in by_data), None)
    return [
        Section(_title(members), "" if key == first else _why(first, key), _groups(members))
        for key, members in by_data.items()
    ]


def _data_key(record: Record) -> tuple[Any, ...]:
    return record.shape, record.data_fingerprint, tuple(sorted(record.split.items()))


def _title(runs: Sequence[Run]) -> str:
    records = [run.record for run in runs]
    names = ", ".join(dict.fromkeys(record.data for record in records))
    return f"{names}, {' × '.join(map(str, records[0].shape))}"


def _why(first: tuple[Any, ...] | None, key: tuple[Any, ...]) -> str:
    assert first is not None
    told = [
        f"{what} {_shown(mine)} instead of {_shown(theirs)}"
        for what, mine, theirs in zip(
            ("shape", "data fingerprint", "split"), key, first, strict=True
        )
        if mine != theirs
    ]
    return (
        "A section of its own, because these runs were trained and measured on other data than the"
        f" first section ({'; '.join(told)}): numbers from different data cannot be compared."
    )


def _shown(part: Any) -> str:
    if isinstance(part, str):
        return part[:12]
    return " × ".join(
        f"{item[0]} {item[1]}" if isinstance(item, tuple) else str(item) for item in part
    )


def _groups(runs: Sequence[Run]) -> tuple[Group, ...]:
    by_model: dict[str, list[Run]] = {}
    for run in runs:
        by_model.setdefault(run.record.model, []).append(run)
    return tuple(
        group for model, members in by_model.items() for group in _variants(model, members)
    )


def _variants(model: str, runs: Sequence[Run]) -> Iterator[Group]:
    """A model's runs, apart where their configurations differ in more than the seed.

    How a run was measured does not tell it from others, as its values say that by themselves, nor
    does the folder of its file; but for a seed that has several of them, which are then what is
    compared.
    """
    configs = [_divided(config) for config in completed([run.record for run in runs])]
    keys = [key for key in differing(configs) if not below(key, ASIDE)]
    for parts in (MEASURED, FILES):
        fewer = [key for key in keys if not below(key, parts)]
        if len(_seeds(runs, configs, fewer)) == len(_seeds(runs, configs, keys)):
            keys = fewer
    variants: dict[tuple[str, ...], list[Run]] = {}
    for run, config in zip(runs, configs, strict=True):
        variants.setdefault(tuple(config.get(key, ABSENT) for key in keys), []).append(run)
    told = [_told(keys, values) for values in variants]
    for number, (words, members) in enumerate(zip(told, variants.values(), strict=True), start=1):
        if len(words) > 3 or told.count(words) > 1:
            # Cut short, two variants could read alike; the number keeps them apart.
            words = [f"variant {number}", *words[:2], "..."]
        yield _group(f"{model} ({', '.join(words)})" if words else model, members)


def _divided(config: Mapping[str, str]) -> dict[str, str]:
    """A checkpoint's path as its name, which says best or last, and its folder.

    >>> _divided({"ckpt_path": '"/a/best.ckpt"'})
    {'ckpt_path': '"best.ckpt"', 'ckpt_path.folder': '"/a"'}
    """
    path = json.loads(config.get("ckpt_path", "null"))
    if not isinstance(path, str):
        return dict(config)
    folder, _, name = path.replace("\\", "/").rpartition("/")
    return {**config, **flat({"ckpt_path": name, "ckpt_path.folder": folder})}


def _seeds(
    runs: Sequence[Run], configs: Sequence[Mapping[str, str]], keys: Sequence[str]
) -> set[tuple[Any, ...]]:
    """The seeds of the configurations, as far as `keys` tell these apart."""
    return {
        (run.record.seed, *(config.get(key, ABSENT) for key in keys))
        for run, config in zip(runs, configs, strict=True)
    }


def _told(keys: Sequence[str], values: Sequence[str]) -> list[str]:
    """What is special of a variant; of a part that is made by code, its place and its class."""
    found: dict[str, str] = {}
    for key, value in zip(keys, values, strict=True):
        part = key.removesuffix("._target_")
        if not key.endswith("._partial_") and (value != ABSENT or part not in found):
            found[part] = value
    return [f"{part.rpartition('.')[2]}={plain(value)}" for part, value in found.items()]


def _group(label: str, runs: Sequence[Run]) -> Group:
    newest: dict[int, Run] = {}
    unfinished, repeated = [], []
    for run in sorted(runs, key=_created):
        if run.record.status != "finished":
            unfinished.append(run)
            continue
        # The same seed twice is one draw, not two: counted twice it would narrow the interval.
        if run.record.seed in newest:
            repeated.append(newest[run.record.seed])
        newest[run.record.seed] = run
    finished = tuple(newest[seed] for seed in sorted(newest))
    return Group(label, finished, tuple(unfinished), tuple(repeated))


def _created(run: Run) -> float:
    return datetime.fromisoformat(run.record.created).timestamp()
