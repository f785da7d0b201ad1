"""All training images, for models that learn something from the whole set at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor

from gen_models.data.ranges import Scaler, to_pixels
from gen_models.models.phase import images_of


class Trained(Protocol):
    """A model while a trainer has it."""

    scaler: Scaler

    @property
    def trainer(self) -> pl.Trainer:
        """Lightning's."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        ...


def training_images(model: Trained, batch: int = 500) -> Iterator[Tensor]:
    """Every training image once, scaled, on the model's device, always in the same order.

    They come from the data module's `train`, so that the training loader keeps its place in the
    epoch, and the images that its last batch leaves out are there too; from the loader itself
    where a data module has no such thing.

    Args:
        model: Being trained.
        batch: Images at a time, where they come from the data module.

    Yields:
        (B, C, H, W), scaled images.
    """
    train = getattr(getattr(model.trainer, "datamodule", None), "train", None)
    if train is None:
        loader: Any = model.trainer.train_dataloader
        for loaded in loader:
            yield images_of(loaded).to(model.device)
    else:
        for images in train.images.split(batch):
            yield model.scaler(to_pixels(images.to(model.device)))
