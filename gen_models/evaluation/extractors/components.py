"""Principal components of pixels: linear features."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor, nn

from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation.extractors.features import Extractor, Features, Shape


class PixelComponents(Extractor):
    """The leading principal components of the training images, seen at 16 x 16: linear features.

    Sees everything that is spread over the image and next to nothing of fine noise: a second view,
    not a first one. Two machines agree on its distances but for rounding, whatever signs their
    eigenvectors have.

    Args:
        shape: (C, H, W) of the images to be seen; larger ones than 16 x 16 are averaged down.
        data: Unused.
        train: Training images as stored, (N, C, H, W); the mean and the components are theirs.
        dimension: Components; fewer where the images have fewer pixels.

    Raises:
        UsageError: If there are no training images.
    """

    SIDE = 16
    mean: Tensor
    components: Tensor

    def __init__(
        self, shape: Shape, data: str, train: Tensor | None = None, dimension: int = 64
    ) -> None:
        super().__init__()
        if train is None:
            raise UsageError("principal components need training images: give train=IMAGES")
        channels, height, width = shape
        self.size = min(height, self.SIDE), min(width, self.SIDE)
        pixels = channels * math.prod(self.size)
        self.dimension = min(dimension, pixels)
        total = torch.zeros(pixels, dtype=torch.float64)
        products = torch.zeros(pixels, pixels, dtype=torch.float64)
        for part in train.cpu().split(1000):
            rows = self.seen(to_pixels(part)).double()
            total += rows.sum(0)
            products += rows.T @ rows
        mean = total / len(train)
        covariance = products / len(train) - mean.outer(mean)
        components = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, : self.dimension]
        self.register_buffer("mean", mean.float())
        self.register_buffer("components", components.float())
        self.name = f"pca{self.dimension}"
        self.digest = hashlib.sha256(train.cpu().contiguous().numpy().data).hexdigest()

    def seen(self, pixels: Tensor) -> Tensor:
        """Images (B, C, H, W) as rows (B, pixels)."""
        assert self.size is not None
        return nn.functional.adaptive_avg_pool2d(pixels, self.size).flatten(1)

    def forward(self, pixels: Tensor) -> Features:
        """Features (B, dimension), no logits."""
        return Features((self.seen(pixels) - self.mean) @ self.components)
