"""Configurations of runs that code of different age made: a key may have come in between."""

import re
from collections.abc import Mapping, Sequence

from gen_models.records import Record
from gen_models.reporting.configurations import flat

RUN = "python run.py"
"""How the commands begin whose words say all that was asked for."""

EVERYTHING = ""
"""The name of all keys: below it lies whatever an experiment sets."""


def completed(records: Sequence[Record]) -> list[dict[str, str]]:
    """Flat configurations of one model's runs; what came later is added to older ones.

    A key that only some of the runs have was asked for, or the code had it by the time of these
    runs alone. What was asked for stands in the command. Any other is a default, and what the
    older code did without being told.

    Args:
        records: Of one model.

    Returns:
        One for each record. No key is added where its value in the others was asked for, or they
        have several, or a part of the name stands for something else.
    """
    configs = [flat(record.config) for record in records]
    runs = list(zip(configs, _asked(records), strict=True))
    for key in dict.fromkeys(key for config in configs for key in config):
        lacking = [(config, mine) for config, mine in runs if key not in config]
        defaults = {c[key] for c, mine in runs if key in c and not _named(key, mine)}
        if len(defaults) == 1:
            (default,) = defaults
            for config, mine in lacking:
                if not _named(key, mine) and not _crossed(key, config):
                    config[key] = default
    return configs


def _asked(records: Sequence[Record]) -> list[list[str]]:
    """The names that the commands of the records set, but for what all of them set alike."""
    words = [_words(record) for record in records]
    common = set.intersection(*words)
    return [
        [_name(word) for word in mine - common] if record.command.startswith(RUN) else [EVERYTHING]
        for record, mine in zip(records, words, strict=True)
    ]


def _words(record: Record) -> set[str]:
    """What was asked for in training and in measuring again."""
    later = record.measured.command if record.measured else ""
    words = re.findall(r"""[+~]*([A-Za-z][^\s"'=]*(?:=\S*)?)""", f"{record.command} {later}")
    # A model's runs share their choice of it, said or not.
    return {word for word in words if not word.startswith(("model=", "seed="))}


def _name(word: str) -> str:
    """The dotted key that a word sets.

    >>> _name("model/prior=vamp"), _name("model.latent_dim=8"), _name("experiment=grid")
    ('model.prior', 'model.latent_dim', '')
    """
    name = word.partition("=")[0].partition("@")[0].replace("/", ".")
    return EVERYTHING if name == "experiment" else name


def _named(key: str, names: Sequence[str]) -> bool:
    """Whether one of the names is the key's, or of a part above or below it."""
    return any(
        not name or f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}.")
        for name in names
    )


def _crossed(key: str, config: Mapping[str, str]) -> bool:
    """Whether a part of the key has a value of its own there, or the key is a part of others."""
    return any(key.startswith(f"{other}.") or other.startswith(f"{key}.") for other in config)
