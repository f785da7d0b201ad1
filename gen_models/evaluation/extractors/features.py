"""Features of images, by fixed networks that are identified by the hash of what they are made of.

A number is only comparable with numbers from the same extractor, so that the extractor's name is
part of the number's name, and its identity (name and hash) part of the protocol.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gen_models.data.ranges import to_pixels
from gen_models.evaluation.precision import full_precision
from gen_models.evaluation.rows import Rows

Shape = tuple[int, int, int]


class Features(NamedTuple):
    """What an extractor sees in N images.

    Attributes:
        features: (N, D), float32.
        logits: (N, K) of the extractor's classes, or None.
        extractor: Identity of the extractor; empty where it is not known.
    """

    features: Tensor
    logits: Tensor | None = None
    extractor: str = ""

    def first(self, count: int) -> Features:
        """The features of the first images."""
        logits = None if self.logits is None else self.logits[:count]
        return self._replace(features=self.features[:count], logits=logits)

    def to(self, device: torch.device) -> Features:
        """The same features on a device."""
        logits = None if self.logits is None else self.logits.to(device)
        return self._replace(features=self.features.to(device), logits=logits)


class Extractor(nn.Module):
    """A fixed network from pixels (B, C, H, W) in [0, 1], as they are stored, to `Features`.

    Attributes:
        name: Enters the names of values: kind and dimension, such as "digits64".
        digest: SHA-256, in hexadecimal, of all that the features depend on beside the images.
        dimension: D.
        size: (H, W) that images are resized to; None: they are seen as they are.
        rounds: Whether it rounds what it sees to 8 bits itself, so that small steps are lost.
        classes: Whether there are logits, of the classes of the data set.
    """

    name: str
    digest: str
    dimension: int
    size: tuple[int, int] | None = None
    rounds: bool = False
    classes: bool = False

    @property
    def identity(self) -> str:
        """Name and hash: what a number must share with another to be compared."""
        return f"{self.name}@{self.digest[:8]}"

    def forward(self, pixels: Tensor) -> Features:
        """Features of a batch of pixels."""
        raise AssertionError("an extractor says what its features are")


@torch.no_grad()
@full_precision()
def extract(extractor: Extractor, images: Tensor, device: torch.device, batch: int) -> Features:
    """Features of stored images (N, C, H, W), a batch at a time, in full float32.

    Args:
        extractor: On the device.
        images: uint8, or float32, which is not rounded; anywhere.
        device: Where the work is done; the features stay there.
        batch: Images at a time.
    """
    parts = (extractor(to_pixels(part.to(device))) for part in images.split(batch))
    return gather(parts, len(images))._replace(extractor=extractor.identity)


def gather(parts: Iterable[Features], count: int) -> Features:
    """The features of all batches, of so many images."""
    features, logits, extractor = Rows(count), Rows(count), ""
    for part in parts:
        features.add(part.features)
        logits.add(part.logits)
        extractor = part.extractor
    return Features(features.all(), logits.rows, extractor)
