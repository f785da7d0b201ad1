"""Evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList


def evaluating(model: Any) -> AbstractContextManager[None]:
    """Evaluation mode for a while; every sub-module's own mode comes back afterwards.

    Args:
        model: A module; anything else has no mode and is left alone.
    """
    return _evaluating(list(model.modules()) if isinstance(model, nn.Module) else [])


def unmoved(model: nn.Module) -> AbstractContextManager[None]:
    """Parametrised weights as they stand, for a while: no power iteration advances.

    A discriminator that is only looked at, by the other player or by an instrument, must not move:
    torch's spectral norm goes a step further at every pass in training mode.
    """
    lists = (m for m in model.modules() if isinstance(m, ParametrizationList))
    return _evaluating([module for each in lists for module in each.modules()])


@contextmanager
def _evaluating(modules: list[nn.Module]) -> Iterator[None]:
    modes = [(module, module.training) for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
