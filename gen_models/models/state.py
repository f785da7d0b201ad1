"""What a resumed run has to find again: the state of the noise, and the same arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def random_state() -> dict[str, Any]:
    """Torch's random states, as a checkpoint can hold them: of the CPU and of every GPU."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put torch's random states back; GPUs that are no longer there are left out."""
    torch.set_rng_state(state["cpu"].cpu())
    for device, kept in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(kept.cpu(), device)


def difference(there: Any, here: Any, place: str) -> str | None:
    """The first place where two plain values differ, in words; None where they are the same.

    Example:
        >>> difference({"lr": 0.1, "b": 2}, {"lr": 0.5, "b": 2}, "optimizer")
        'optimizer.lr is 0.1 there and 0.5 here'
    """
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in {**there, **here}:
            found = difference(there.get(key), here.get(key), f"{place}.{key}")
            if found is not None:
                return found
        return None
    return None if there == here else f"{place} is {there} there and {here} here"
