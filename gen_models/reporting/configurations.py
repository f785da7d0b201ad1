"""Configurations as dotted keys, and where several of them differ."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

ABSENT = "absent"
"""What stands for a key that a configuration does not have: its default is in the code."""


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
            made[f"{prefix}{key}"] = json.dumps(value)
    return made


def differing(configs: Sequence[Mapping[str, str]]) -> list[str]:
    """Keys whose values differ: not the seed, and no paths, which say where and not what.

    Args:
        configs: From `flat`.

    >>> differing([{"a": "1", "root": '"/x"', "seed": "0"}, {"root": '"/y"', "seed": "1"}])
    ['a']
    """
    keys = dict.fromkeys(key for config in configs for key in config)
    found = []
    for key in keys:
        values = {config.get(key) for config in configs}
        place = any(value and ("/" in value or "\\" in value) for value in values)
        if len(values) > 1 and not place and key.rpartition(".")[2] != "seed":
            found.append(key)
    return found


def plain(value: str) -> str:
    """A JSON value for people: no quotes, and of a dotted path of code its last part.

    >>> plain('"gen_models.distributions.Laplace"'), plain("0.5")
    ('Laplace', '0.5')
    """
    bare = value.strip('"')
    return bare.rpartition(".")[2] if bare.startswith(("gen_models.", "torch.")) else bare
