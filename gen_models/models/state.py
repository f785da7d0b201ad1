"""What a resumed run has to find again: the state of the noise, and the same arguments."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from gen_models.errors import UsageError


def goes_on(trainer: pl.Trainer) -> bool:
    """Whether a run goes on from a checkpoint of its own folder, wherever that lies now.

    Where it does not, it begins: anew, or with another run's weights.
    """
    start, folder = trainer.ckpt_path, Path(trainer.default_root_dir, "checkpoints")
    return start is not None and Path(start).resolve().parent == folder.resolve()


def random_state() -> dict[str, Any]:
    """All global random states, as a checkpoint can hold them: torch's, NumPy's and Python's.

    Of GPUs that of the process's own alone, which is the same in all processes of a run: they draw
    the same noise, and each takes its share.
    """
    kind, keys, *rest = cast(tuple[Any, ...], np.random.get_state(legacy=True))
    return {
        "cpu": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "numpy": (kind, keys.tolist(), *rest),
        "python": random.getstate(),
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put random states back, that of a GPU on the one that the process has now, if any.

    Args:
        state: What `random_state` gave; of an older version it may be torch's alone, and those of
            all GPUs, of which the first is taken.
    """
    torch.set_rng_state(state["cpu"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"][0].cpu())
    if "numpy" in state:
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, np.array(keys, np.uint32), *rest))
        random.setstate(state["python"])


FROM_DATA = ("shape", "scaler", "num_classes", "training_images")
SHOWN = 4


def check_same(there: Mapping[str, Any], here: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Refuse a checkpoint whose arguments are others than the model's.

    Args:
        there: Arguments kept in the checkpoint.
        here: Those of the model.
        keys: Which of them have to be the same.

    Raises:
        UsageError: If one is not; says where they differ.
    """
    found = [(key, told) for key in keys for told in differences(there.get(key), here[key], key)]
    if not found:
        return
    strange = [key for key in there if key not in {*here, *FROM_DATA}]
    found += [(key, told) for key in strange for told in differences(there[key], None, key)]
    told = ", ".join(told for _, told in found[:SHOWN])
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    ours = dict.fromkeys(f"model.{key}" for key, _ in found if key not in FROM_DATA)
    data = ["the data"] if any(key in FROM_DATA for key, _ in found) else []
    wanted = ["model", *data] if strange or len(ours) > SHOWN else [*ours, *data]
    raise UsageError(
        f"the checkpoint is of another model: {told}{more}; choose {', '.join(wanted)} as there"
    )


def differences(there: Any, here: Any, place: str) -> Iterator[str]:
    """Where two plain values differ, in words.

    Example:
        >>> list(differences({"lr": 0.1, "b": 2}, {"lr": 0.5, "b": 2}, "optimizer"))
        ['optimizer.lr is 0.1 there and 0.5 here']
    """
    both = isinstance(there, Mapping) and isinstance(here, Mapping)
    if both and there.get("_target_") == here.get("_target_"):
        for key in {**there, **here}:
            yield from differences(there.get(key), here.get(key), f"{place}.{key}")
    elif there != here:
        yield f"{place} is {target(there)} there and {target(here)} here"


def target(value: Any) -> Any:
    """What a recipe makes, by its name; any other value itself."""
    named = isinstance(value, Mapping) and "_target_" in value
    return value["_target_"].rsplit(".", 1)[-1] if named else value


def not_finite(module: nn.Module) -> str | None:
    """Name of the first parameter that is not finite; None where all are."""
    named = list(module.named_parameters())
    if not named:
        return None
    whole = torch.stack([p.detach().isfinite().all() for _, p in named]).tolist()
    return next((name for (name, _), finite in zip(named, whole, strict=True) if not finite), None)
