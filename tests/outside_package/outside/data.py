"""Bright stripes, upright or level, drawn on the spot."""

from typing import Unpack

import torch

from gen_models.data.images import ImageSet
from gen_models.data.module import ImageDataModule
from gen_models.data.options import Options


class Stripes(ImageDataModule):
    """`count` grey images, 8 x 8, with one stripe each; class 0 is upright, 1 level."""

    name = "stripes"

    def __init__(self, count: int = 600, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.count = count

    def load(self) -> tuple[ImageSet, None]:
        draw = torch.Generator().manual_seed(0)
        labels = torch.randint(2, (self.count,), generator=draw)
        places = torch.randint(8, (self.count,), generator=draw)
        images = torch.randint(60, (self.count, 1, 8, 8), generator=draw, dtype=torch.uint8)
        for image, label, place in zip(images, labels, places, strict=True):
            image[0].select(1 - int(label), int(place)).fill_(255)
        return ImageSet(images, labels, ("upright", "level")), None
