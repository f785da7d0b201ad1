"""Configurations as dotted keys, and where several of them differ."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ABSENT = "absent"
"""What stands for a key that a configuration does not have: its default is in the code."""

PLACES = ("data.root", "evaluation.cache")
"""Keys that say where something lies and not what it is."""

OTHERS = ("callbacks", "logger")
"""Below these are classes of any package, whose places have names that nobody here knows."""


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested configuration as dotted keys and JSON text.

    >>> flat({"model": {"beta": 4.0}, "seed": 0})
    {'model.beta': '4.0', 'seed': '0'}
    """
    made: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            made |= flat(value, f"{prefix}{key}.")
        else:
            made[f"{prefix}{key}"] = json.dumps(value, ensure_ascii=False)
    return made


def differing(configs: Sequence[Mapping[str, str]]) -> list[str]:
    """Keys whose values differ: not the seed, and not where data, caches and logs lie.

    Args:
        configs: From `flat`.

    >>> differing([{"a": "1", "data.root": '"x"', "seed": "0"}, {"data.root": '"y"', "seed": "1"}])
    ['a']
    """
    keys = dict.fromkeys(key for config in configs for key in config)
    found = []
    for key in keys:
        values = {config.get(key) for config in configs}
        seed = key.rpartition(".")[2] == "seed"
        if len(values) > 1 and not seed and not _place(key, values):
            found.append(key)
    return found


def _place(key: str, values: Iterable[str | None]) -> bool:
    # JSON doubles the backslash of a path; a single one begins the code of a letter.
    paths = any(value and ("/" in value or r"\\" in value) for value in values)
    return key in PLACES or (paths and below(key, OTHERS))


def below(key: str, parts: Sequence[str]) -> bool:
    """Whether a dotted key is one of the parts, or lies below one.

    >>> below("logger.csv", ["logger"]), below("loggers", ["logger"])
    (True, False)
    """
    return any(f"{key}.".startswith(f"{part}.") for part in parts)


def plain(value: str) -> str:
    """A JSON value for people: no quotes, and of a dotted path of code its last part.

    >>> plain('"gen_models.distributions.Laplace"'), plain("0.5")
    ('Laplace', '0.5')
    """
    bare = value.strip('"')
    return bare.rpartition(".")[2] if bare.startswith(("gen_models.", "torch.")) else bare
