"""Images in the place of a model: samples that were drawn elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from gen_models.capabilities import Samples
from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError


class Given(Samples):
    """Gives the images it was given, in their order, each once.

    Args:
        images: Bytes, or floats in [0, 1], (N, C, H, W).
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.given = 0

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """The next `count` images, as floats.

        Raises:
            UsageError: If there are not so many left.
        """
        first, self.given = self.given, self.given + count
        if self.given > len(self.images):
            raise UsageError(
                f"there are {len(self.images)} given samples, {self.given} were asked for"
            )
        chosen = self.images[first : self.given]
        return to_pixels(chosen) if chosen.dtype == torch.uint8 else chosen
