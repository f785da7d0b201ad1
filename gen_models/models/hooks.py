"""Whether anyone listens to the hooks that Lightning calls around a backward pass and a step."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import SingleDeviceStrategy

AROUND_A_STEP = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")

PLAIN = ("32-true", "64-true", "bf16-mixed", "bf16-true")
"""Precisions whose backward passes and steps are torch's own: no gradient is scaled."""


def unheard(module: pl.LightningModule) -> bool:
    """Whether torch's own backward and step do all that Lightning's would.

    They do on one device, without a scaler of gradients, where neither the module nor a callback
    has a hook around them. Lightning calls such hooks of every callback, empty as they are, which
    takes as long as a tenth of a small network's step.

    Args:
        module: Attached to its trainer.
    """
    trainer = module.trainer
    alone = type(trainer.strategy) is SingleDeviceStrategy and trainer.precision in PLAIN
    callbacks = any(listens(part, pl.Callback) for part in trainer.callbacks)  # type: ignore[attr-defined]
    return alone and not callbacks and not listens(module, pl.LightningModule)


def listens(one: Any, base: type) -> bool:
    """Whether a callback or module has one of the hooks, other than its base's empty one."""
    return any(
        name in vars(one) or getattr(type(one), name) is not getattr(base, name)
        for name in AROUND_A_STEP
    )


def step(optimizer: Any) -> None:
    """A step of a Lightning optimiser, counted as Lightning counts it, without hooks."""
    optimizer._on_before_step()
    optimizer.optimizer.step()
    optimizer._on_after_step()
