"""JSON into frozen dataclasses by their annotations; a misfit is named by file and field."""

import reprlib
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gen_models.errors import UsageError
from gen_models.records.quantities import LARGEST

DEEPEST = 60
"""Levels of free JSON: a configuration has ten, and pages that show it go down into all."""


def parse(hint: Any, data: Any, where: str) -> Any:
    """Check JSON data against an annotation and return it in the annotation's types.

    Understands dataclasses, `str` (that UTF-8 can hold), `int` (of 64 bits), `float` (finite, at
    most 1e100 either way; an integer will do), `Any` (any JSON, at most 60 levels deep),
    `Literal`, `X | None`, `tuple[X, ...]` and `dict[str, X]`.

    Args:
        hint: The annotation.
        data: What `json.loads` gave.
        where: The file and the field, for the error.

    Raises:
        UsageError: If the data do not fit; one line that names the field.

    >>> parse(tuple[int, ...], [1, 16, 16], "record.json: shape")
    (1, 16, 16)
    >>> parse(float, "fast", "record.json: seconds")
    Traceback (most recent call last):
    gen_models.errors.UsageError: record.json: seconds: expected a finite number, got 'fast'
    """
    kind = get_origin(hint) or hint
    parser = _object if is_dataclass(kind) else _PARSERS[kind]
    return parser(hint, data, where)


def too_deep(data: Any) -> bool:
    """Whether JSON data have more levels than `DEEPEST`, below which Python's own stack ends."""
    level = [data]
    for _ in range(DEEPEST):
        inner = [node.values() if isinstance(node, dict) else node for node in level]
        level = [child for node in inner if not isinstance(node, _PLAIN) for child in node]
    return bool(level)


def one_line(text: str, most: int = 300) -> str:
    r"""Text that a terminal shows as one line and does not obey.

    >>> one_line("a\nb\x1b[2J")
    'a\\nb\\x1b[2J'
    """
    shown = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def _refuse(where: str, rule: str, data: Any) -> UsageError:
    return UsageError(f"{where}: expected {rule}, got {reprlib.repr(data)}")


def _object(hint: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise _refuse(where, "an object", data)
    known = {field.name: field for field in fields(hint)}
    for name in data:
        if name not in known:
            raise UsageError(f"{where}: unknown field {name!r}; known are {', '.join(known)}")
    hints = get_type_hints(hint)
    given = {}
    for name, field in known.items():
        if name in data:
            given[name] = parse(hints[name], data[name], f"{where}.{name}")
        elif field.default is MISSING:
            raise UsageError(f"{where}: the field {name!r} is missing")
    try:
        return hint(**given)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _mapping(hint: Any, data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise _refuse(where, "an object with text keys", data)
    inner = get_args(hint)[1]
    return {key: parse(inner, item, f"{where}.{key}") for key, item in data.items()}


def _sequence(hint: Any, data: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(data, list | tuple):
        raise _refuse(where, "a list", data)
    inner = get_args(hint)[0]
    return tuple(parse(inner, item, _place(where, i, item)) for i, item in enumerate(data))


def _place(where: str, index: int, item: Any) -> str:
    # People look a value up by its name; its number in the list only stands in for a missing one.
    name = item.get("name") if isinstance(item, dict) else None
    return f"{where}.{name}" if isinstance(name, str) and name else f"{where}[{index}]"


def _optional(hint: Any, data: Any, where: str) -> Any:
    (inner,) = (kind for kind in get_args(hint) if kind is not type(None))
    return None if data is None else parse(inner, data, where)


def _choice(hint: Any, data: Any, where: str) -> Any:
    if data not in get_args(hint):
        raise _refuse(where, " or ".join(map(str, get_args(hint))), data)
    return data


def _text(hint: Any, data: Any, where: str) -> str:
    # JSON can write half a surrogate pair, which no file can hold.
    if not isinstance(data, str) or any("\ud800" <= mark <= "\udfff" for mark in data):
        raise _refuse(where, "text", data)
    return data


def _integer(hint: Any, data: Any, where: str) -> int:
    # True is an int to Python and never one to the writer of a record.
    if not isinstance(data, int) or isinstance(data, bool) or abs(data) >= 2**63:
        raise _refuse(where, "a whole number", data)
    return data


def _number(hint: Any, data: Any, where: str) -> float:
    # Written so that NaN is refused.
    number = isinstance(data, int | float) and not isinstance(data, bool)
    if not (number and abs(data) <= LARGEST):
        raise _refuse(where, "a finite number", data)
    return data


def _anything(hint: Any, data: Any, where: str) -> Any:
    if isinstance(data, dict):
        return _mapping(dict[str, Any], data, where)
    if isinstance(data, list | tuple):
        return list(_sequence(tuple[Any, ...], data, where))
    if data is None or isinstance(data, str | bool):
        return data
    return _number(float, data, where)


_PLAIN = (str, int, float, bool, type(None))

_PARSERS: dict[Any, Callable[[Any, Any, str], Any]] = {
    dict: _mapping,
    tuple: _sequence,
    types.UnionType: _optional,
    Union: _optional,
    Literal: _choice,
    str: _text,
    int: _integer,
    float: _number,
    Any: _anything,
}
