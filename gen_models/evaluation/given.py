"""Images in the place of a model: samples that were drawn elsewhere."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from gen_models.capabilities import Samples
from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError


class GivenSamples(Samples):
    """Gives the images it was given in their order, each once for every source of randomness.

    As a model draws the same images from the same seed, so each generator meets the first ones
    first: what measures twice measures the same images.

    Args:
        images: Bytes, or floats in [0, 1], (N, C, H, W).
        device: Where they are wanted.
    """

    def __init__(self, images: Tensor, device: torch.device | str = "cpu") -> None:
        self.images = images
        self.device: torch.device = torch.device(device)
        self._given: WeakKeyDictionary[torch.Generator, int] = WeakKeyDictionary()

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """The next `count` images, as floats.

        Raises:
            UsageError: If there are not so many left.
        """
        source = torch.default_generator if generator is None else generator
        first = self._given.get(source, 0)
        self._given[source] = first + count
        if first + count > len(self.images):
            raise UsageError(
                f"there are {len(self.images)} given samples, {first + count} were asked for"
            )
        chosen = self.images[first : first + count].to(self.device)
        return to_pixels(chosen) if chosen.dtype == torch.uint8 else chosen
