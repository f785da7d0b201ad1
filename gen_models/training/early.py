"""Early stopping of a run that goes on."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks.early_stopping import EarlyStopping, EarlyStoppingReason

from gen_models.models.state import goes_on

LIMITS = "patience", "min_delta", "stopping_threshold", "divergence_threshold", "check_finite"


class EarlyStops(pl.Callback):
    """Lets early stopping that has ended a run end it again, unless its limits are others now.

    Lightning's goes on where it has stopped, and takes the patience that it had then for the one
    that is asked for now (Lightning's Timer does neither). A run that begins with another's weights
    has lost no patience yet.
    """

    def __init__(self) -> None:
        self.now: dict[str, dict[str, Any]] = {}
        self.then: dict[str, dict[str, Any]] = {}

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Take down the limits, before those of a checkpoint replace them."""
        self.now = {each.state_key: limits(each) for each in stopping(trainer)}

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Put the limits back; stop where they have stopped before, forget where others have."""
        own = goes_on(trainer)
        for each in stopping(trainer):
            each.patience = self.now[each.state_key]["patience"]
            stopped = each.stopping_reason != EarlyStoppingReason.NOT_STOPPED
            if own and stopped and self.then.get(each.state_key) == self.now[each.state_key]:
                trainer.should_stop = True
                continue
            each.stopping_reason, each.stopped_epoch = EarlyStoppingReason.NOT_STOPPED, 0
            if not own:
                each.wait_count = 0

    def state_dict(self) -> dict[str, Any]:
        """The limits."""
        return self.now

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Those that the checkpoint was made under."""
        self.then = state_dict


def stopping(trainer: pl.Trainer) -> list[EarlyStopping]:
    """The callbacks that may stop a run early."""
    found: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [callback for callback in found if isinstance(callback, EarlyStopping)]


def limits(callback: EarlyStopping) -> dict[str, Any]:
    """By what it stops."""
    return {name: getattr(callback, name) for name in LIMITS}
