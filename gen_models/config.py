"""The root of the configuration, typed; below it, constructor signatures are the schema."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from gen_models.allowed import guard_hydra
from gen_models.errors import Diverged, Interrupted, UsageError
from gen_models.extras import LAUNCHERS, install, keep_private
from gen_models.signatures import unknown_key

NO_PLACE = errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.ELOOP
"""Of a folder that cannot be made: a file has its name, or lies above it, or no name can be so."""


@dataclass
class RunConfig:
    """What one run is made of; `conf/config.yaml` says what each key means."""

    model: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    compile: str | None = None
    seed: int = 0
    max_images: int = 0
    checks: int = 10
    save_seconds: float = 300.0
    resume: bool = False
    train: bool = True
    evaluate: bool = True
    ckpt_path: str | None = None
    trust: list[str] = field(default_factory=list)


def run_config(plain: Mapping[Any, Any]) -> RunConfig:
    """The typed root of a composed configuration.

    Raises:
        UsageError: If it has a key that is none.
    """
    known = [one.name for one in fields(RunConfig)]
    for key in plain:
        if key not in known:
            raise UsageError(unknown_key(str(key), known))
    return RunConfig(**{str(key): value for key, value in plain.items()})


def check(config: RunConfig) -> None:
    """Refuse numbers at the root that are outside their range.

    Raises:
        UsageError: If there is one.
    """
    if not 0 <= config.seed < 2**32:
        raise UsageError(f"seed={config.seed} must be a whole number from 0 to 2**32 - 1")
    for name in ("max_images", "checks"):
        if getattr(config, name) < 1:
            raise UsageError(f"{name}={getattr(config, name)} must be 1 or more")


def register() -> None:
    """Make the typed root known to Hydra, and let Hydra raise what it would print on many lines.

    Reports of use by optional packages are switched off here, before any of them is imported.
    """
    from hydra.core.config_store import ConfigStore

    if os.environ.get("HYDRA_FULL_ERROR", "0") == "0":
        os.environ.update(HYDRA_FULL_ERROR="1", GEN_MODELS_ONE_LINE_ERRORS="1")
    keep_private()
    ConfigStore.instance().store(name="schema", node=RunConfig)
    guard_hydra()


def follow() -> None:
    """Make no run folder where torchrun has started several processes and this is not the first.

    Raises:
        UsageError: If they were to sweep.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    if {"-m", "--multirun"} & set(sys.argv):
        raise UsageError(
            "-m under torchrun: every process would sweep; leave torchrun out, the jobs of "
            "-m trainer=ddp trainer.devices=N start their own processes"
        )
    if os.environ["RANK"] != "0":
        sys.argv += ["hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none"]


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print the user's mistakes as one line and exit with status 2; with 1 after a divergence.

    With HYDRA_FULL_ERROR=1 in the environment, every error keeps its traceback.
    """
    try:
        yield
    except Exception as error:
        message = explain(error)
        if message is None or "GEN_MODELS_ONE_LINE_ERRORS" not in os.environ:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1 if isinstance(error, Diverged | Interrupted) else 2)


def explain(error: BaseException) -> str | None:
    """An error that the user can mend, in one line; None for any other."""
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, UsageError | Diverged | Interrupted):
        return str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing(error)
    if isinstance(error, OverrideParseException):
        return (
            f"cannot read {error.override}: write key=value, group=choice or -m key=a,b; "
            "a value that holds = or spaces stands in quotes, key=\"'a=b'\""
        )
    cause = error.__cause__
    if isinstance(error, HydraException) and isinstance(cause, OmegaConfBaseException):
        return _wrong_key(cause) or " ".join(str(error).split())
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _wrong_key(error) or " ".join(str(error).split())
    if (limit := _limit(error)) is not None:
        return limit
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return "a group of choices (model, data, evaluation, ...) takes the name of one, not null"
    return None


def _limit(error: BaseException) -> str | None:
    """What the machine could not give; None for any other error."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            "out of memory: lower data.batch_size or the sizes of the networks; "
            "data.in_memory=false keeps the images on disk and off the GPU"
        )
    if not isinstance(error, OSError):
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"cannot write {error.filename}: {error.strerror}; what was saved before is whole: "
            "make room and go on with resume=true"
        )
    if error.errno in NO_PLACE and _of_hydras_folder(error):
        return (
            f"{error.filename}: no folder can be made there ({error.strerror}); "
            "give another, hydra.run.dir=DIR, or hydra.sweep.dir=DIR with -m"
        )
    denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return f"{error.filename}: {error.strerror}" if denied else None


def _of_hydras_folder(error: OSError) -> bool:
    """Whether Hydra has tried to make a folder, of a run or a sweep, and could not.

    The frames tell: Hydra itself called `Path.mkdir`. A file that is missing deep in training, or
    in code of the user's own, is an error of the same kind, comes through Hydra's frames too, and
    keeps its traceback.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [str(frame.f_globals.get("__name__", "")).split(".")[0] for frame in frames]
    return any(
        caller.startswith("hydra") and called == "pathlib" and frame.f_code.co_name == "mkdir"
        for caller, called, frame in zip(modules, modules[1:], frames[1:], strict=False)
    )


def _missing(error: Any) -> str:
    """`model=vea` names the models."""
    import difflib

    group, _, name = str(error.missing_cfg_file).rpartition("/")
    if group == "hydra/launcher" and name in LAUNCHERS:
        return f"{group}={name} is not installed: {install(LAUNCHERS[name])}"
    options = [str(option) for option in error.options or []]
    close = difflib.get_close_matches(name, options, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return f"{group}={name}: no such choice{hint} Choices: {', '.join(options)}"


def _wrong_key(error: Any) -> str | None:
    """`model.latent_dmi=3` names the keys; None if the error is about something else."""
    from omegaconf.errors import (
        ConfigAttributeError,
        ConfigKeyError,
        InterpolationKeyError,
        MissingMandatoryValue,
        ValidationError,
    )

    place = str(getattr(error, "full_key", None) or "")
    parent = getattr(error, "parent_node", None)
    if isinstance(error, ConfigAttributeError | ConfigKeyError) and parent is not None and place:
        known = [key for key in parent if not str(key).startswith("_")]
        return unknown_key(place, known)
    if isinstance(error, MissingMandatoryValue):
        return f"{place} is missing: give {place}=VALUE"
    if isinstance(error, ValidationError | InterpolationKeyError) and place:
        return f"{place}: {str(error).splitlines()[0]}"
    return None
