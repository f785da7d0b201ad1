"""Where Lightning's loops stand, told so that they go on right from any place."""

from __future__ import annotations

from typing import Any


def between_iterations(loops: dict[str, Any], iterations: int, batches: int) -> None:
    """Say that `iterations` are done and the next one has not begun; changes the state in place.

    What Lightning keeps depends on the hook that saved: the count of epochs runs one behind where
    that was an epoch's last batch, one ahead behind `fit`, and resuming then trains too much or
    nothing (Lightning-AI/pytorch-lightning#18060, #19815). Between two iterations all that they say
    follows from their number. A validation that is due after the last of them counts as done.

    Args:
        loops: `fit_loop.state_dict()`.
        iterations: Training batches so far.
        batches: In an epoch.
    """
    epoch, batch = divmod(iterations, batches)
    begun = epoch + (batch > 0)
    for count in ("total", "current"):
        loops["epoch_progress"][count].update(
            ready=begun, started=begun, processed=epoch, completed=epoch
        )
        done = iterations if count == "total" else batch
        loops["epoch_loop.batch_progress"][count] = dict.fromkeys(
            ("ready", "started", "processed", "completed"), done
        )
        validation = loops["epoch_loop.val_loop.batch_progress"]
        validation[count] = dict.fromkeys(validation[count], 0)
    for progress in ("epoch_loop.batch_progress", "epoch_loop.val_loop.batch_progress"):
        loops[progress]["is_last_batch"] = False
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] = iterations
    if batch == 0:  # the loaders begin anew
        loops["state_dict"].pop("combined_loader", None)
