"""As many images of any size as a benchmark asks for, which are nothing but noise."""

from __future__ import annotations

from typing import Any

import torch

from gen_models.data.images import ImageSet
from gen_models.data.module import ImageDataModule


class Noise(ImageDataModule):
    """Independent bytes.

    Args:
        images: How many, those held out included.
        size: Height and width.
        **options: Of every data module.
    """

    name = "noise"

    def __init__(self, *, images: int = 20_000, size: int = 28, **options: Any) -> None:
        super().__init__(**options)
        self.images, self.size = images, size

    def load(self) -> tuple[ImageSet, None]:
        """The same ones each time."""
        generator = torch.Generator().manual_seed(0)
        shape = self.images, 1, self.size, self.size
        drawn = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        return ImageSet(drawn), None
