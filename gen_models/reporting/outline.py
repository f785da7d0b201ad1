"""A configuration as text that reads like YAML, without a YAML library."""

import json
import re
from collections.abc import Mapping
from typing import Any


def outline(config: Mapping[str, Any], indent: int = 0) -> str:
    """Nested mappings as indented lines; lists and scalars as JSON, which is YAML too.

    >>> print(outline({"model": {"beta": 1.0, "sizes": [16, 32]}, "seed": 0, "name": "vae"}))
    model:
      beta: 1.0
      sizes: [16, 32]
    seed: 0
    name: vae
    """
    lines = []
    for key, value in config.items():
        head = f"{' ' * indent}{key}:"
        if isinstance(value, Mapping) and value:
            lines += [head, outline(value, indent + 2)]
        else:
            lines.append(f"{head} {_scalar(value)}")
    return "\n".join(lines)


def _scalar(value: Any) -> str:
    # Words that YAML would read as something else keep their quotes.
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value)
    if plain and value.lower() not in ("null", "true", "false", "yes", "no", "on", "off"):
        return value
    return json.dumps(value, ensure_ascii=False)
