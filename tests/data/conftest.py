"""Small data modules for the tests of the data package."""

from collections.abc import Callable

import pytest
import torch

from gen_models.data import ImageDataModule, ImageSet


class Noise(ImageDataModule):
    """Random images; image i starts with the bytes of i, so that a batch says who is in it."""

    name = "noise"

    def __init__(self, count=40, official=None, channels=1, labelled=True, **options):
        super().__init__(**options)
        self.source = make_images(count, 1, channels, labelled)
        self.official = None if official is None else make_images(official, 2, channels, labelled)

    def load(self):
        return self.source, self.official


def make_images(count, seed, channels=1, labelled=True):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 200, (count, channels, 4, 4), generator=generator).to(torch.uint8)
    images[:, 0, 0, 0] = torch.arange(count).to(torch.uint8)
    labels = torch.arange(count) % 3 if labelled else None
    return ImageSet(images, labels, ("a", "b", "c") if labelled else None)


@pytest.fixture
def noise() -> Callable[..., Noise]:
    return Noise
