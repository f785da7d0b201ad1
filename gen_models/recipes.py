"""Objects from plain data and back: the one door through which a config or a checkpoint names code.

A *recipe* is a mapping with `_target_` (a dotted path), its keyword arguments and, for a factory,
`_partial_`: Hydra's own notation. `build` makes the object, `describe` gives the recipe of one.
Every `_target_` is one that `allowed` lets in; Hydra's own block-list lets `torch.load` through,
which can run code from a file.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

from gen_models.allowed import resolve
from gen_models.errors import UsageError
from gen_models.signatures import check_arguments, no_object, parameters


def build(
    recipe: Any, where: str = "", offered: Mapping[str, Any] | None = None, **arguments: Any
) -> Any:
    """Make what a recipe describes; anything but a recipe is given back as it is.

    Args:
        recipe: A mapping with `_target_`, or an object that is already built.
        where: The recipe's place in the config ("model"), for error messages.
        offered: Further keyword arguments, for a target whose signature names them, or that of a
            class it hands its `**options` on to.
        **arguments: Keyword arguments that code supplies (sizes), in addition to the recipe's own.

    Raises:
        UsageError: If a target is not allowed, does not exist, or is given an argument that it does
            not have, one of another type than its signature says, or one that code supplies.

    Example:
        >>> build({"_target_": "gen_models.objectives.NegativeELBO", "beta": 4.0})
        NegativeELBO(beta=4.0, free_nats=0.0, draws=1)
    """
    if isinstance(recipe, str):
        raise UsageError(no_object(recipe, where))
    if isinstance(recipe, Mapping) and "_target_" not in recipe:
        raise UsageError(f"{where} has no _target_: it says nothing that can be made")
    if not isinstance(recipe, Mapping):
        assert not arguments, "only a recipe takes arguments"
        return recipe
    check_literal(recipe, where)
    if offered:
        known = parameters(resolve(str(recipe["_target_"]), where))
        arguments |= {k: v for k, v in offered.items() if k in known}
    for place, node in _nodes(recipe, where):
        target = resolve(str(node["_target_"]), place)
        check_arguments(target, node, arguments if node is recipe else {}, place)
    try:
        return _make(recipe, where, arguments)
    except UsageError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where or 'config'}: {' '.join(str(error).split())}") from error


def build_each(
    recipes: Any, where: str, offered: Mapping[str, Any] | None = None, **arguments: Any
) -> dict[str, Any]:
    """What a mapping of recipes describes, by name; null leaves a name out.

    Args:
        recipes: A mapping, or None for none.
        where: Its place in the config.
        offered: Further arguments, for those that name them.
        **arguments: Given to each.

    Raises:
        UsageError: As `build`, or if one is a plain value.
    """
    if isinstance(recipes, str):
        raise UsageError(no_object(recipes, where))
    wanted = {key: recipe for key, recipe in (recipes or {}).items() if recipe is not None}
    for key, recipe in wanted.items():
        if isinstance(recipe, bool | int | float | list):
            raise UsageError(f"{where}.{key}={recipe} must be an object (_target_: ...) or null")
        if isinstance(recipe, Mapping) and "_target_" not in recipe:
            raise UsageError(
                f"{where}.{key} has no _target_: what was chosen for {where} has no such part to "
                f"change; leave it out with {where}.{key}=null"
            )
    return {
        key: build(recipe, f"{where}.{key}", offered, **arguments) for key, recipe in wanted.items()
    }


class Factory(functools.partial[Any]):
    """What a recipe with `_partial_` makes: a partial whose arguments are not silently replaced.

    Raises:
        UsageError: When it is called with an argument that the recipe has too.
    """

    place = ""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Make the object."""
        for key in self.keywords.keys() & named.keys():
            place = f"{self.place}.{key}" if self.place else key
            raise UsageError(f"{place} is set by the code, from data and other keys: leave it out")
        return super().__call__(*arguments, **named)


def _firm(made: Any, place: str) -> Any:
    """The partials that Hydra has made, at any depth, as factories that know their place."""
    if type(made) is dict:
        return {key: _firm(item, f"{place}.{key}" if place else key) for key, item in made.items()}
    if type(made) is list:
        return [_firm(item, f"{place}.{index}") for index, item in enumerate(made)]
    if not isinstance(made, functools.partial):
        return made
    factory = Factory(made.func, *made.args, **_firm(made.keywords, place))
    factory.place = place
    return factory


def _make(recipe: Mapping[str, Any], where: str, arguments: dict[str, Any]) -> Any:
    import hydra.utils
    from hydra.errors import InstantiationException

    try:
        if not arguments:
            return _firm(hydra.utils.instantiate(recipe, _convert_="all"), where)
        factory = hydra.utils.instantiate({**recipe, "_partial_": True}, _convert_="all")
    except InstantiationException as error:
        raise (error.__cause__ or error) from None  # what went wrong, not that something did
    # Called here and not by Hydra, which would copy objects such as modules into its config.
    return _firm(factory, where)(**arguments)


def describe(value: Any) -> Any:
    """The plain data from which `build` makes `value` again.

    Args:
        value: Plain data, a class or function (read as a factory), a `functools.partial` of one, a
            dataclass, an object with a `recipe()` method, or containers of these.

    Raises:
        UsageError: If the value cannot be written as plain data.

    Example:
        >>> describe(functools.partial(dict, a=(1, 2)))
        {'_target_': 'builtins.dict', '_partial_': True, 'a': [1, 2]}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [describe(item) for item in value]
    if isinstance(value, functools.partial):
        assert not value.args, "factories are partials of keyword arguments only"
        return {**_factory(value.func), **describe(value.keywords)}
    if inspect.isclass(value) or inspect.isfunction(value):
        return _factory(value)
    return _describe_object(value)


def _describe_object(value: Any) -> Any:
    if hasattr(value, "recipe"):
        return value.recipe()
    if is_dataclass(value):
        target = {"_target_": _path(type(value))}
        return {**target, **{f.name: describe(getattr(value, f.name)) for f in fields(value)}}
    raise UsageError(
        f"a {type(value).__qualname__} cannot be stored in a checkpoint: "
        "pass a class or a functools.partial of one, so that it can be built again"
    )


def _factory(target: Any) -> dict[str, Any]:
    if "<" in target.__qualname__:
        raise UsageError(
            f"{target.__qualname__} cannot be stored in a checkpoint, a lambda or local class has "
            "no name to find it by: pass a functools.partial of a class defined in a module"
        )
    return {"_target_": _path(target), "_partial_": True}


def _path(target: Any) -> str:
    return f"{target.__module__}.{target.__qualname__}"


def check_literal(data: Any, place: str) -> None:
    """Refuse text in plain data that Hydra would read as an interpolation: it could give recipes.

    Raises:
        UsageError: If there is one.
    """
    if isinstance(data, Mapping):
        for key, item in data.items():
            check_literal(item, f"{place}.{key}" if place else str(key))
    elif isinstance(data, str):
        if "${" in data:
            raise UsageError(f"{place}={data}: nothing resolves ${{...}} here; write the value")
    elif isinstance(data, Sequence):
        for index, item in enumerate(data):
            check_literal(item, f"{place}.{index}")


def _nodes(recipe: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every recipe inside `recipe`, itself first, with its place in the config."""
    if isinstance(recipe, Mapping):
        if "_target_" in recipe:
            yield place, recipe
        for key, item in recipe.items():
            yield from _nodes(item, f"{place}.{key}" if place else str(key))
    elif isinstance(recipe, Sequence) and not isinstance(recipe, str):
        for index, item in enumerate(recipe):
            yield from _nodes(item, f"{place}.{index}")
