"""What measurements read: real images, samples and their features, each made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from gen_models.data.ranges import to_bytes, to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation.features import Extractor, Features


class Images(Protocol):
    """Images and their labels, as a data module's splits are."""

    @property
    def images(self) -> Tensor:
        """Bytes (N, C, H, W)."""
        ...

    @property
    def labels(self) -> Tensor | None:
        """(N,) classes, or None."""
        ...


@dataclass
class Evidence:
    """A model, the data it is measured on, and what has been made of both so far.

    Attributes:
        model: A bare model (no wrapper), in evaluation mode.
        train: Training images, for floors and ceilings.
        real: The images of the split that is measured on.
        split: Name of that split, which enters the names of values.
        extractor: Gives features; on the same device.
        samples: Images to draw from the model.
        seed: Of everything that is drawn here.
        device: Where the model is.
        batch: Images at a time.
    """

    model: Any
    train: Images
    real: Images
    split: str
    extractor: Extractor
    samples: int
    seed: int
    device: torch.device
    batch: int = 250

    def generator(self) -> torch.Generator:
        """A fresh source of randomness, always the same: the order of measurements is free."""
        return torch.Generator(self.device).manual_seed(self.seed)

    def batches(self, images: Tensor) -> Iterator[Tensor]:
        """Pixels of bytes (N, C, H, W), a batch at a time, on the device."""
        for part in images.split(self.batch):
            yield to_pixels(part.to(self.device))

    @torch.no_grad()
    def each(self, images: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Values (N, ...) of a function of pixels, for all images, on the CPU in float64."""
        return torch.cat([function(p).cpu().double() for p in self.batches(images)])

    @torch.no_grad()
    def features(self, images: Tensor) -> Features:
        """Features of bytes (N, C, H, W)."""
        parts = [self.extractor(pixels) for pixels in self.batches(images)]
        logits = [p.logits for p in parts if p.logits is not None]
        return Features(
            torch.cat([p.features for p in parts]), torch.cat(logits) if logits else None
        )

    @cached_property
    def fake(self) -> Tensor:
        """Bytes (samples, C, H, W) drawn from the model.

        Raises:
            UsageError: If a sample is not finite; it has no byte.
        """
        pixels = self.model.sample(self.samples, self.generator())
        if not pixels.isfinite().all():
            raise UsageError("the model's samples are not finite: it has diverged")
        return to_bytes(pixels)

    @cached_property
    def fake_features(self) -> Features:
        """Features of the samples."""
        return self.features(self.fake)

    @cached_property
    def real_features(self) -> Features:
        """Features of the real images."""
        return self.features(self.real.images)

    @cached_property
    def floor_features(self) -> Features:
        """Features of training images, as many as there are samples where there are so many."""
        return self.features(self.train.images[: self.samples])

    @cached_property
    def ceiling_features(self) -> Features:
        """Features of uniform noise, as many as there are samples."""
        shape = (self.samples, *self.real.images.shape[1:])
        noise = torch.rand(shape, generator=torch.Generator().manual_seed(self.seed))
        return self.features(to_bytes(noise))

    @cached_property
    def mean_image(self) -> Tensor:
        """Pixels (1, C, H, W): the mean training image."""
        total = torch.zeros(1, dtype=torch.float64)
        for pixels in self.batches(self.train.images):
            total = total + pixels.cpu().double().sum(0, keepdim=True)
        return (total / len(self.train.images)).float().to(self.device)
