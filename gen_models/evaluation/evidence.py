"""What measurements read: real images, samples and their features, each made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from gen_models.data.ranges import stored_as, to_pixels
from gen_models.evaluation.extractors.features import Extractor
from gen_models.evaluation.rows import Rows
from gen_models.evaluation.samples import Drawn, draw
from gen_models.evaluation.store import FeatureStore, content
from gen_models.evaluation.tried import tried_once
from gen_models.evaluation.view import View

T = TypeVar("T")


class Images(Protocol):
    """Images and their labels, as a data module's splits are."""

    @property
    def images(self) -> Tensor:
        """(N, C, H, W): bytes, or float32 pixels."""
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
        train: Training images.
        validation: Held-out training images: real, and never trained on.
        real: The images of the split that is measured on.
        split: Name of that split, which enters the names of values.
        extractors: Give features, on the same device; the first is the one to select by.
        samples: Images to draw from the model.
        seed: Of everything that is drawn here.
        device: Where the model is.
        batch: Images at a time.
        store: Where features of real images are kept.
        probe: How to train an encoder for any decoder, or None.
        density: That the data were drawn from, over pixels, event shape (C, H, W), on the CPU;
            None where nobody knows it.
    """

    model: Any
    train: Images
    validation: Images
    real: Images
    split: str
    extractors: tuple[Extractor, ...]
    samples: int
    seed: int
    device: torch.device
    batch: int = 256
    store: FeatureStore = field(default_factory=lambda: FeatureStore(None))
    probe: Any = None
    density: Distribution | None = None
    _made: dict[Hashable, Any] = field(default_factory=dict)

    @property
    def stored(self) -> torch.dtype:
        """Type of the data: samples are compared in bytes, or in floats where the data are."""
        return self.real.images.dtype

    @property
    def precision(self) -> str:
        """How samples are rounded, in words, for protocols."""
        return "8 bits" if self.stored == torch.uint8 else "floats, not rounded"

    def generator(self) -> torch.Generator:
        """A fresh source of randomness, always the same: the order of measurements is free."""
        return torch.Generator(self.device).manual_seed(self.seed)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made the first time that it is asked for under this key."""
        if key not in self._made:
            self._made[key] = make()
        found: T = self._made[key]
        return found

    def batches(self, images: Tensor) -> Iterator[Tensor]:
        """Pixels of stored images (N, C, H, W), a batch at a time, on the device."""
        for part in images.split(self.batch):
            yield to_pixels(part.to(self.device))

    @torch.no_grad()
    def each(self, images: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Values (N, ...) of a function of pixels, for all images, on the CPU in float64."""
        return torch.cat([function(p).cpu().double() for p in self.batches(images)])

    @tried_once
    def drawn(self) -> Drawn:
        """Samples and their features, in one pass: pixels live for one batch only.

        Raises:
            UsageError: If a sample is no image of the shape of the real ones, or not finite.
        """
        return draw(self)

    @cached_property
    def views(self) -> tuple[View, ...]:
        """The samples and the real images, as each extractor sees them."""
        return tuple(View(self, index) for index in range(len(self.extractors)))

    @tried_once
    def encoder(self) -> Any:
        """An encoder trained for the model's frozen decoder, the same way for every model.

        Raises:
            UsageError: If training it has failed.
        """
        return self.probe.fit(self)

    @tried_once
    def noise(self) -> float:
        """Deviation of the Gaussian noise that makes the decoder a density, pixels.

        Raises:
            UsageError: If training the probe has failed.
        """
        return self.probe.noise(self)

    @cached_property
    def known(self) -> dict[str, Any]:
        """All that numbers on known images hang on, whatever the model: for the store's keys."""
        return {
            "real": content(self.real.images),
            "train": content(self.train.images),
            "validation": content(self.validation.images),
            "labels": content(self.real.labels),
            "device": self.device.type,
            "samples": self.samples,
            "seed": self.seed,
        }

    @cached_property
    def mean_image(self) -> Tensor:
        """Pixels (1, C, H, W): the mean training image."""
        total = torch.zeros(1, dtype=torch.float64)
        for pixels in self.batches(self.train.images):
            total = total + pixels.cpu().double().sum(0, keepdim=True)
        return (total / len(self.train.images)).float().to(self.device)

    def stand_in(self, name: str) -> Tensor:
        """Known images, stored as the real ones are, in the place of samples.

        Floors and ceilings are made of them.

        Args:
            name: `training`, `validation`, `mean`, or `noise`: uniform over all bytes, or over the
                range of the training data where these are floats. As many as there are samples,
                where there are so many.
        """
        shape = (self.samples, *self.real.images.shape[1:])
        if name == "noise":
            return self._noise(shape)
        if name == "mean":
            return stored_as(self.mean_image.cpu(), self.stored).expand(shape)
        chosen = {"training": self.train, "validation": self.validation}[name]
        return chosen.images[: self.samples]

    def _noise(self, shape: tuple[int, ...]) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        if self.stored == torch.uint8:
            some = partial(torch.randint, 0, 256, generator=generator, dtype=torch.uint8)
        else:
            some = partial(uniform, *self.train.images.cpu().aminmax(), generator)
        made = Rows(shape[0])
        for part in range(0, shape[0], self.batch):
            made.add(some((min(self.batch, shape[0] - part), *shape[1:])))
        return made.all()


def uniform(
    low: Tensor, high: Tensor, generator: torch.Generator, shape: tuple[int, ...]
) -> Tensor:
    """Draws between two numbers, float32."""
    return low + (high - low) * torch.rand(shape, generator=generator)
