"""Values that were measured alike, and what sets the others apart."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gen_models.records import Value
from gen_models.reporting.estimates import number
from gen_models.reporting.verdicts import PROTOCOL, Runs, differing


def alike(values: Sequence[Value]) -> list[Value]:
    """The values of the protocol that the most of them have; none where two are as common.

    >>> many, few = (Value("mse", "Error", 1.0, "", count=count) for count in (500, 100))
    >>> [value.count for value in alike([few, many, many])], alike([few, many])
    ([500, 500], [])
    """
    common = Counter(map(_protocol, values)).most_common(2)
    if not common or (len(common) > 1 and common[0][1] == common[1][1]):
        return []
    return [value for value in values if _protocol(value) == common[0][0]]


def like(value: Value, others: Sequence[Value]) -> list[Value]:
    """Those of the others that were measured as a value was."""
    return [other for other in others if _protocol(other) == _protocol(value)]


@dataclass(frozen=True)
class Likeness:
    """Which models may be compared on a measurement.

    Attributes:
        rivals: By label and seed, the numbers that were measured alike.
        apart: By label, how the number of another model was measured otherwise, or what the
            numbers of its own seeds differ in.
        differing: What the numbers differ in, where no two models were measured alike.
    """

    rivals: Mapping[str, Runs]
    apart: Mapping[str, str]
    differing: tuple[str, ...] = ()


def compared(found: Mapping[str, Runs]) -> Likeness:
    """Of each model the seeds that were measured alike, and the models that were.

    Args:
        found: Values of one name by label and seed, some without a number.
    """
    numbered = {
        label: [value for value in runs.values() if value.value is not None]
        for label, runs in found.items()
    }
    own = {label: alike(values) for label, values in numbered.items()}
    firsts = {label: values[0] for label, values in own.items() if values}
    usual = alike(list(firsts.values()))
    mixed = {
        label: f"its seeds differ in {', '.join(differing(values))}"
        for label, values in numbered.items()
        if values and not own[label]
    }
    if not usual:
        return Likeness({}, mixed, tuple(differing(firsts.values())))
    others = {label: value for label, value in firsts.items() if value not in usual}
    rivals = {
        label: {seed: value for seed, value in found[label].items() if value in own[label]}
        for label in firsts
        if label not in others
    }
    told = {label: apart(value, usual[0]) for label, value in others.items()}
    return Likeness(rivals, told | mixed)


def _protocol(value: Value) -> tuple[Any, ...]:
    return tuple(getattr(value, field) for field in PROTOCOL)


def unlike(values: Sequence[Value]) -> list[str]:
    """What sets values of one question apart; name and protocol only where nothing else does.

    >>> unlike([Value(f"mse_{n}", "Error", 1.0, "", count=n) for n in (9, 5)])
    ['sample count']
    """
    fields = list(differing(values))
    return [word for word in fields if word not in ("name", "protocol")] or fields


def apart(value: Value, usual: Value) -> str:
    """How a value was measured otherwise than the usual one, in words.

    >>> many, few = (Value("mse", "Error", 1.0, "", count=count) for count in (5000, 100))
    >>> apart(few, many)
    'sample count 100 instead of 5,000'
    """
    return " and ".join(
        f"another {word}"
        if word == "protocol"
        else f"{word} {_shown(value, word)} instead of {_shown(usual, word)}"
        for word in unlike([usual, value])
    )


def _shown(value: Value, word: str) -> str:
    (field,) = (field for field, known in PROTOCOL.items() if known == word)
    content = getattr(value, field)
    return number(content) if isinstance(content, int) else str(content)
