"""What a config or a checkpoint may name: classes that are there to be built, and no other code.

A prefix alone would not do. Functions can do anything with what they are given (`Trainer.fit` runs
a pickle when told to, git runs what an alias says, and whoever may write a file needs no more), so
that of them only those are allowed that are named here. Of a package that the user trusts, all is.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

from gen_models.errors import UsageError

ALLOWED = (
    "gen_models.data.",
    "gen_models.distributions.",
    "gen_models.evaluation.",
    "gen_models.models.",
    "gen_models.networks.",
    "gen_models.objectives.",
    "gen_models.training.",
    "torch.nn.",
    "torch.optim.",
    "pytorch_lightning.callbacks.",
    "pytorch_lightning.loggers.",
    "pytorch_lightning.trainer.",
)
FUNCTIONS = (
    "gen_models.evaluation.extractors.choice.default_extractor",
    "gen_models.evaluation.extractors.choice.second_extractor",
)
HYDRA = (
    "gen_models.reporting.sweep.SweepReport",
    "gen_models.sweeping.EndTogether",
    "hydra._internal.core_plugins.",
    "hydra_plugins.",
)
"""What Hydra itself may build, which does not come by here: callbacks, launchers, sweepers."""

_trusted: list[str] = []


def trust(prefixes: Sequence[str]) -> None:
    """Allow targets of further packages, named by the user (`trust=[my_package]`)."""
    _trusted[:] = [prefix.rstrip(".") + "." for prefix in prefixes]


@contextmanager
def trusting(prefixes: Sequence[str]) -> Iterator[None]:
    """Allow them for a while, and what was allowed before afterwards."""
    before = list(_trusted)
    trust(prefixes)
    try:
        yield
    finally:
        trust(before)


def resolve(path: str, place: str) -> Any:
    """The class, or the function, that a `_target_` names.

    Args:
        path: Dotted.
        place: Of the recipe in the config, for the error.

    Raises:
        UsageError: If it is not allowed, which is found before anything is imported as far as the
            path tells, or if there is no such thing.
    """
    trusted = tuple(_trusted)
    private = any(part.startswith("_") for part in path.split("."))
    if not path.startswith(trusted) and (private or not path.startswith(ALLOWED)):
        raise _refusal(path, place)
    target = _locate(path, place)
    # gen_models.data.folder.os.system begins well and ends elsewhere: what counts is where it was
    # defined.
    home = f"{getattr(target, '__module__', '')}."
    known = inspect.isclass(target) or f"{home}{getattr(target, '__name__', '')}" in FUNCTIONS
    if home.startswith(trusted) or (home.startswith(ALLOWED) and known):
        return target
    raise _refusal(path, place)


def guard_hydra() -> None:
    """Look at every configuration that Hydra loads before it builds anything of it."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from omegaconf import OmegaConf

    load = ConfigLoaderImpl.load_configuration
    if hasattr(load, "__wrapped__"):
        return

    @wraps(load)
    def checked(self: Any, config_name: Any, overrides: list[str], *rest: Any, **more: Any) -> Any:
        config: Any = load(self, config_name, overrides, *rest, **more)
        for part in ("callbacks", "launcher", "sweeper"):
            check_hydra(OmegaConf.to_container(config.hydra[part]), overrides, f"hydra.{part}")
        check_trust(config.get("trust") or (), overrides)
        return config

    ConfigLoaderImpl.load_configuration = checked  # type: ignore[method-assign]


def check_hydra(node: Any, overrides: Sequence[str], place: str = "hydra") -> None:
    """Refuse what a file would have Hydra build before a run begins.

    Args:
        node: Plain data, not resolved.
        overrides: The command line: what it names itself is allowed, by `trust` or as a target.
        place: Of the node in the config.

    Raises:
        UsageError: If a target is not allowed, or a text may become one.
    """
    if isinstance(node, dict):
        for key, value in node.items():
            check_hydra(value, overrides, f"{place}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            check_hydra(value, overrides, f"{place}.{index}")
    elif isinstance(node, str):
        told = [word.partition("=")[2] for word in overrides]
        mine = tuple(f"{name.strip()}." for word in told for name in word.strip("[]").split(","))
        is_target = place.endswith("._target_")
        if "${oc." in node or (is_target and not f"{node}.".startswith((*HYDRA, *mine))):
            raise UsageError(f"{place}={node} is not allowed; trust=[PACKAGE] allows your own")


def check_trust(trusted: Sequence[str], overrides: Sequence[str]) -> None:
    """Refuse packages that a file trusts: whose code is run is said on the command line alone.

    Raises:
        UsageError: If it is not said there.
    """
    if trusted and not any(word.lstrip("+").startswith("trust=") for word in overrides):
        packages = ",".join(trusted)
        raise UsageError(
            f"a file of the configuration trusts {packages}: add trust=[{packages}] if you do"
        )


def _refusal(path: str, place: str) -> UsageError:
    allowed = (*ALLOWED, *_trusted)
    return UsageError(
        f"{place or 'config'}._target_={path} is not allowed: targets are classes of "
        f"{', '.join(prefix.rstrip('.') for prefix in allowed)}; trust=[PACKAGE] allows your own"
    )


def _locate(path: str, place: str) -> Any:
    """Import the longest module prefix of `path` and take the rest as attributes."""
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:cut])
        try:
            found: Any = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            continue
        for part in parts[cut:]:
            if not hasattr(found, part):
                names = [n for n in dir(found) if not n.startswith("_")]
                hint = difflib.get_close_matches(part, names, n=1)
                also = f"; did you mean {hint[0]}?" if hint else ""
                raise UsageError(f"{place}._target_={path}: {name} has no {part}{also}")
            found = getattr(found, part)
        return found
    raise UsageError(f"{place}._target_={path}: there is no such module")
