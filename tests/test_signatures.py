import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gen_models.data.options import Options
from gen_models.errors import UsageError
from gen_models.recipes import build
from gen_models.signatures import defaults, expected, fits, parameters, takes_objects_alone

RECIPE = {"_target_": "torch.nn.ReLU"}
NUMBERS = st.floats() | st.integers()
PLAIN = {
    bool: st.booleans(),
    int: st.integers(),
    float: NUMBERS,
    str: st.text(),
    type(None): st.none(),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_type_takes_its_own_values_and_no_others(kind):
    @given(PLAIN[kind])
    def takes(value):
        assert fits(value, kind)
        assert fits(value, kind | torch.Tensor)
        assert fits([value, value], list[kind])
        assert fits([value], Sequence[kind])
        assert fits({"a": value}, Mapping[str, kind])

    others = [
        PLAIN[other] for other in PLAIN if other is not kind and {kind, other} != {int, float}
    ]
    others += [st.floats()] if kind is int else []
    strange = st.one_of(*others, st.just([]), st.just({}), st.just(RECIPE))

    @given(strange)
    def refuses(value):
        assert not fits(value, kind)
        assert not fits([value], list[kind])
        assert not fits([value], kind)
        assert not fits({"a": value}, dict[str, kind])

    takes()
    refuses()


@pytest.mark.parametrize(
    ("annotation", "taken", "refused"),
    [
        (int | None, [3, None], ["3", 1.5, True, [3]]),
        (Literal["a", 3], ["a", 3], ["b", 4, None]),
        (tuple[float, float], [[0, 0.9]], [[0.9], [0, 1, 2], [0, "x"], 0.9]),
        (tuple[int, ...], [[], [1, 2, 3]], [[1.5], 1]),
        (str | Path, ["a"], [3, None, ["a"]]),
        (Callable[..., Any], [RECIPE], ["adam", 3, None, True]),
        (torch.nn.Module | None, [RECIPE, None], ["conv", 3]),
        (Iterable[int], [[1]], ["x", 3]),
        (Mapping[str, Callable[..., Any] | None], [{"a": RECIPE, "b": None}], [{"a": 3}, [], 3]),
        (Any, [3, "x", None, [1], {"a": 1}, RECIPE], []),
        (inspect.Parameter.empty, [3, "x", None, [1], {"a": 1}], []),
        (TypeVar("T"), [3, "x", None, [1]], []),
        ("Unresolved", [3, "x", None, [1]], []),
    ],
    ids=str,
)
def test_what_a_signature_takes(annotation, taken, refused):
    assert [value for value in taken if not fits(value, annotation)] == []
    assert [value for value in refused if fits(value, annotation)] == []


def test_words():
    assert expected(float | torch.Tensor) == "a number"
    assert (
        expected(int | list[int] | str) == "a whole number, a list, each a whole number or a text"
    )
    assert expected(torch.nn.Module | None) == "an object (_target_: ...) or null"
    assert takes_objects_alone(Callable[..., Any] | None)
    assert not takes_objects_alone(int | torch.Tensor)
    assert not takes_objects_alone(Mapping[str, int])


class Parent:
    def __init__(self, size: int, colour: str = "red", depth: float | None = None) -> None: ...


class Child(Parent):
    def __init__(self, height: int = 3, **options: Unpack[Options]) -> None: ...


class Forward:
    def __init__(self, other: "Nowhere", size: int = 2) -> None: ...  # noqa: F821


def test_options_of_a_class_stand_for_those_of_the_next():
    assert list(parameters(Child)) == ["size", "colour", "depth", "height"]
    assert parameters(Child)["size"].annotation is int
    assert defaults(Child) == {"colour": "red", "depth": None, "height": 3}


def test_a_name_that_cannot_be_resolved_takes_anything():
    assert fits("x", parameters(Forward)["other"].annotation)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"lr": "x"}, "model.optimizer.lr=x must be a number"),
        ({"lr": None}, "model.optimizer.lr=null must be a number"),
        ({"fused": 3}, "model.optimizer.fused=3 must be true or false or null"),
        ({"eps": True}, "model.optimizer.eps=true must be a number"),
        ({"betas": [0.9]}, "model.optimizer.betas=[0.9] must be a list of 2, each a number"),
    ],
)
def test_recipes_are_held_against_signatures_at_any_depth(change, line):
    optimizer = {"_target_": "torch.optim.Adam", "_partial_": True, **change}
    with pytest.raises(UsageError) as error:
        build({"_target_": "gen_models.models.VAE", "optimizer": optimizer}, "model")
    assert line in str(error.value)
