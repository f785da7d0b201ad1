"""The classifiers that are shipped in this package."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from gen_models.errors import UsageError
from gen_models.evaluation.extractors.features import Extractor, Features, Shape

WEIGHTS = Path(__file__).parents[1] / "weights"


class Classifier(nn.Module):
    """A small convolutional classifier; its 64 features are the last hidden layer before its ReLU.

    Args:
        shape: (C, H, W) of the images.
        classes: K.
    """

    def __init__(self, shape: Shape, classes: int = 10) -> None:
        super().__init__()
        channels, height, width = shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (height // 4) * (width // 4), 64),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(64, classes))

    def forward(self, pixels: Tensor) -> Features:
        """Features (B, 64) and logits (B, K) of pixels (B, C, H, W) in [0, 1]."""
        features = self.features(pixels)
        return Features(features, self.head(features))


class ShippedClassifier(Extractor):
    """The classifier of a data set that is stored in this package, frozen.

    `python -m gen_models.evaluation.train_classifier` made it, from training images alone.

    Args:
        shape: (C, H, W) of the images to be seen.
        data: The data set whose classifier it is: "digits" or "mnist".
        train: Unused.

    Raises:
        UsageError: If there is none, the images have another shape, or the file is damaged.
    """

    SHAPES: ClassVar[dict[str, Shape]] = {"digits": (1, 16, 16), "mnist": (1, 28, 28)}
    classes = True
    dimension = 64

    def __init__(self, shape: Shape, data: str, train: Tensor | None = None) -> None:
        super().__init__()
        from safetensors.torch import load

        if self.SHAPES.get(data) != tuple(shape):
            known = ", ".join(f"{name} {size}" for name, size in self.SHAPES.items())
            raise UsageError(
                f"no classifier for {data} images of shape {tuple(shape)} (there is: {known}); "
                "use evaluation/features=random"
            )
        content = (WEIGHTS / f"{data}.safetensors").read_bytes()
        self.digest = hashlib.sha256(content).hexdigest()
        if self.digest not in (WEIGHTS / "sha256.txt").read_text().split():
            raise UsageError(f"the file of the {data} classifier is damaged; install again")
        self.name = f"{data}{self.dimension}"
        self.network = Classifier(shape)
        self.network.load_state_dict(load(content))
        self.requires_grad_(False).eval()
        self.to(memory_format=torch.channels_last)  # twice as fast on a CPU

    def forward(self, pixels: Tensor) -> Features:
        """Features (B, 64) and logits (B, 10)."""
        return self.network(pixels)
