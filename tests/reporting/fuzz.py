"""Records spoiled at random: what a disk, an editor or a stranger makes of them."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**400), 10**400),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=12),
    st.sampled_from(["", "\ud800", "\x1b[2J", "a\nb", "$\\frac{$", "../../etc", "0" * 5000]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
    st.integers(40, 400).map(lambda depth: json.loads("[" * depth + "]" * depth)),
)


def places(data: Any, here: tuple = ()) -> list[tuple]:
    """Every place in JSON data, from the outside in."""
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    return [here, *(place for key in keys for place in places(data[key], (*here, key)))]


@st.composite
def spoiled(draw, record: dict[str, Any]) -> str:
    """The text of a record after a few changes, and at times cut off."""
    data = copy.deepcopy(record)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(data)))
        if not place:
            continue
        inner = data
        for step in place[:-1]:
            inner = inner[step]
        how = draw(st.sampled_from(["drop", "replace", "replace", "repeat", "rename"]))
        if how == "drop":
            del inner[place[-1]]
        elif how == "replace":
            inner[place[-1]] = draw(STRANGE)
        elif isinstance(inner, list):
            inner.append(copy.deepcopy(inner[place[-1]]))
        else:
            inner[draw(st.text(max_size=8))] = inner.pop(place[-1])
        if not isinstance(data, dict):
            break
    text = json.dumps(data)
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 7)) == 0 else text


TEXTS = ["", "=1+<img src=x onerror=alert(1)>|`[a](b)\x1b[2J\x07$\\frac{$\n\u202e", "é" * 3000]
NUMBERS = [5e-324, 1e100, -1e100]
COUNTS = [0, 1, 2**62]


@st.composite
def odd(draw, record: dict[str, Any]) -> dict[str, Any]:
    """A record whose fields keep their types and hold extreme numbers and strange text."""
    data = copy.deepcopy(record)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.sampled_from([p for p in places(data) if p]))
        inner = data
        for step in place[:-1]:
            inner = inner[step]
        old = inner[place[-1]]
        kinds = {str: TEXTS, float: NUMBERS, int: COUNTS}
        if type(old) in kinds:
            inner[place[-1]] = draw(st.sampled_from(kinds[type(old)]))
        elif isinstance(old, list):
            inner[place[-1]] = old[: draw(st.integers(0, len(old)))]
    return data
