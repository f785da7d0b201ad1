"""What is left to look into where a loss was not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from gen_models.models.gathered import Turn
from gen_models.models.state import goes_on


class FiniteCheckpoint(ModelCheckpoint):
    """Lightning's, but a state that is beyond repair is not saved: the last good one stays.

    A run that goes on has its best one behind itself, wherever its folder lies now; one that begins
    with another's weights has none yet.
    """

    own = False

    def on_load_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Tell a run that goes on from one that begins with another's weights."""
        self.own = goes_on(trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with all that was kept; Lightning forgets the last score, and a moved folder."""
        if self.own:
            state_dict = self._here(state_dict)
        super().load_state_dict(state_dict)
        self.current_score = state_dict["current_score"]

    def _here(self, state: dict[str, Any]) -> dict[str, Any]:
        folder = str(self.dirpath)

        def here(path: str) -> str:
            return str(Path(folder, Path(path).name)) if path else path

        paths = "best_model_path", "kth_best_model_path", "last_model_path"
        return {
            **state,
            "dirpath": folder,
            "best_k_models": {here(path): k for path, k in state["best_k_models"].items()},
            **{name: here(state[name]) for name in paths},
        }

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Forget the scores of a run whose weights this one begins with: it has not their best."""
        super().on_fit_start(trainer, module)
        if not self.own:
            for row in getattr(module, "history", ()):
                row.pop(self.monitor, None)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save, unless training has diverged."""
        if getattr(module, "diverged", None) is None:
            super().on_train_epoch_end(trainer, module)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save, unless training has diverged."""
        if getattr(module, "diverged", None) is None:
            super().on_validation_end(trainer, module)


def broken_batch(turn: Turn, loader: Any, indices: Tensor) -> bytes:
    """The batch at which a loss was not finite, and the one before it, as a safetensors file.

    Where a gradient was not finite, the loss is not until the next batch: so both are kept. The
    tensors are `images` (B, C, H, W), as the networks saw them, `labels` (B,) where there are any,
    and `indices` (B,), which number the images as `split.safetensors` does; then the same with
    `_before`, but for the first batch of an epoch. Metadata are the fields of the turn.

    Args:
        turn: Whose loss was not finite.
        loader: Of the training images; gives the batches of an epoch by their place.
        indices: (N,) of the training split.
    """
    from safetensors.torch import save

    loader.place = 0, 1  # all of the batch, also where several devices have shared it
    loader.sampler.set_epoch(turn.epoch)
    order = indices[loader.sampler.indices()]
    tensors = {}
    for name, place in (("", turn.batch), ("_before", turn.batch - 1)):
        if place < 0:
            continue
        loader.load_state_dict({"position": place})
        batch = next(iter(loader))
        first = place * loader.batch_size
        tensors[f"images{name}"] = batch.images
        tensors[f"indices{name}"] = order[first : first + len(batch.images)]
        if batch.labels is not None:
            tensors[f"labels{name}"] = batch.labels
    told = {key: str(value) for key, value in turn._asdict().items()}
    return save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, told)
