"""What a signature takes, by name and by type: the schema of a configuration below its root."""

from __future__ import annotations

import difflib
import inspect
import os
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from gen_models.errors import UsageError

PLAIN: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: (
        "a number",
        lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    ),
    str: ("a text", lambda value: isinstance(value, str)),
    type(None): ("null", lambda value: value is None),
    None: ("null", lambda value: value is None),
}


def parameters(target: Any) -> dict[str, inspect.Parameter]:
    """What a target takes by name; `**options` of a class stands for what the next class takes."""
    found = dict(_signature(target).parameters)
    makers = [kind for kind in getattr(target, "__mro__", ()) if "__init__" in vars(kind)]
    for maker in makers[1:-1]:  # the last is `object`, which tells nothing
        rest = [name for name, p in found.items() if p.kind is p.VAR_KEYWORD]
        if not rest:
            break
        del found[rest[0]]
        found = {**_signature(maker).parameters, **found}
    return found


def _signature(target: Any) -> inspect.Signature:
    try:
        return inspect.signature(target, eval_str=True)
    except Exception:  # a name that only a type checker imports: the types stay unknown
        return inspect.signature(target)


def defaults(target: Any) -> dict[str, Any]:
    """Plain values of the arguments that a target does without."""
    plain = (bool, int, float, str, type(None))
    return {k: p.default for k, p in parameters(target).items() if isinstance(p.default, plain)}


def fits(value: Any, annotation: Any) -> bool:
    """Whether plain data may stand where a signature says `annotation`; what is unknown fits.

    Args:
        value: A bool, number, text or None, a list or mapping of them, or a recipe.
        annotation: What the signature says.

    Example:
        >>> fits(64, int | None), fits("64", int | None), fits(True, int), fits(1, float)
        (True, False, False, True)
        >>> fits([0, 0.9], tuple[float, float]), fits([0, 0.9], tuple[int, ...])
        (True, False)
    """
    origin, of = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in of)
    if origin is Literal:
        return value in of
    if annotation in PLAIN:
        return PLAIN[annotation][1](value)
    kind = origin or annotation
    if not isinstance(kind, type) or kind in (Any, object, inspect.Parameter.empty):
        return True
    if isinstance(value, Mapping):
        return "_target_" in value or _mapping_fits(value, kind, of)
    if isinstance(value, list | tuple):
        return _list_fits(value, kind, of)
    return _is_path(kind) and isinstance(value, str)


def _is_path(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, os.PathLike)


def _mapping_fits(value: Mapping[Any, Any], kind: type, of: tuple[Any, ...]) -> bool:
    return issubclass(kind, Mapping) and (not of or all(fits(v, of[-1]) for v in value.values()))


def _list_fits(value: Sequence[Any], kind: type, of: tuple[Any, ...]) -> bool:
    if not issubclass(list, kind) and kind is not tuple:
        return False
    if kind is tuple and of and Ellipsis not in of:
        return len(of) == len(value) and all(map(fits, value, of))
    return not of or all(fits(item, of[0]) for item in value)


def takes_objects_alone(annotation: Any) -> bool:
    """Whether no plain value but null may stand here: it takes a recipe, and a choice by name."""
    return all(isinstance(word, tuple) for word in _words(annotation) if word != "null")


def expected(annotation: Any) -> str:
    """What `annotation` takes, in words.

    Example:
        >>> expected(int | list[int] | None)
        'a whole number, a list, each a whole number or null'
        >>> expected(tuple[float, float])
        'a list of 2, each a number'
    """
    found = list(_words(annotation))
    # An object as well is more than a user of the command line has to know.
    plain = [word for word in found if isinstance(word, str) and word != "null"]
    objects = [] if plain else [word[0] for word in found if isinstance(word, tuple)]
    null = ["null"] if "null" in found else []
    *most, last = dict.fromkeys([*plain, *objects, *null])
    return f"{', '.join(most)} or {last}" if most else last


def _words(annotation: Any) -> Iterator[str | tuple[str]]:
    """Each kind that is taken, in words; in a tuple where it is an object."""
    origin, of = get_origin(annotation), get_args(annotation)
    kind = origin or annotation
    if origin in (Union, types.UnionType):
        for one in of:
            yield from _words(one)
    elif origin is Literal:
        yield from map(str, of)
    elif annotation in PLAIN:
        yield PLAIN[annotation][0]
    else:
        yield _word(kind, of)


def _word(kind: Any, of: tuple[Any, ...]) -> str | tuple[str]:
    if _is_path(kind):
        return "a path"
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return "a mapping"
    if isinstance(kind, type) and (issubclass(list, kind) or kind is tuple):
        length = f" of {len(of)}" if kind is tuple and of and Ellipsis not in of else ""
        return f"a list{length}{f', each {expected(of[0])}' if of else ''}"
    return ("an object (_target_: ...)",)


def check_arguments(
    target: Any, recipe: Mapping[str, Any], supplied: Iterable[str], place: str
) -> None:
    """Hold a recipe against the signature of what it makes.

    Args:
        target: What the recipe makes.
        recipe: Its arguments; keys that begin with an underscore are none.
        supplied: Names of further arguments, which code gives.
        place: Of the recipe in the config.

    Raises:
        UsageError: If there is no such argument, or it takes values of another type.
    """
    try:
        known = parameters(target)
    except (TypeError, ValueError):
        return
    open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
    for key in [*recipe, *supplied]:
        if key not in known and not open_ended and not str(key).startswith("_"):
            raise UsageError(unknown_key(f"{place}.{key}" if place else str(key), known))
    for key in recipe.keys() & known.keys():
        _check_type(recipe[key], known[key].annotation, f"{place}.{key}" if place else str(key))


def _check_type(value: Any, annotation: Any, place: str) -> None:
    if fits(value, annotation):
        return
    if isinstance(value, str) and takes_objects_alone(annotation):
        raise UsageError(no_object(value, place))
    given = {"None": "null", "True": "true", "False": "false"}.get(str(value), value)
    raise UsageError(f"{place}={given} must be {expected(annotation)}")


def no_object(name: str, place: str) -> str:
    """The message for a name where an object is wanted.

    Example:
        >>> no_object("resnet", "model.generator")
        'model.generator=resnet is not an object; to choose one write model/generator=resnet'
    """
    group = "/".join(place.rsplit(".", 1))
    return f"{place}={name} is not an object; to choose one write {group}={name}"


def unknown_key(place: str, known: Any) -> str:
    """The message for a key that nothing takes, with the nearest name first.

    Example:
        >>> unknown_key("model.latent_dmi", ["latent_dim", "shape"])
        'model.latent_dmi: no such key; did you mean latent_dim? Known: latent_dim, shape'
    """
    names = sorted(str(name) for name in known if not str(name).startswith("_") and name != "self")
    close = difflib.get_close_matches(place.rsplit(".", 1)[-1], names, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return f"{place}: no such key{hint} Known: {', '.join(names)}"
