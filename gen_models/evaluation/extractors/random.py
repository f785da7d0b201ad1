"""Fixed random convolutions: for images that have no classifier of their own."""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from typing import ClassVar

import numpy
import torch
from torch import Tensor, nn

from gen_models.errors import UsageError
from gen_models.evaluation.extractors.features import Extractor, Features, Shape


class RandomConvolutions(Extractor):
    """Three strided convolutions with fixed random weights, averaged on a 2 x 2 grid: 128 features.

    For images without a classifier of their own. The weights are raw bits of numpy's Philox
    generator, whose stream is the same in every version, and do not depend on any seed of the run.

    Args:
        shape: (C, H, W) of the images to be seen.
        data: Unused.
        train: Unused.

    Raises:
        UsageError: If this installation of numpy makes other weights than it should.
    """

    KEY = 20260101
    # Of the weights for 1 and 3 channels; a numpy that drew others would silently be another ruler.
    DIGESTS: ClassVar[dict[int, str]] = {
        1: "3052101ecddf0a97d6928e5fa8677687cd8dadb45a1fb9a88e4878c8fa2623ae",
        3: "48c21d568210c428bf4515b99c3c75fb508c0b83be94cf0d0834df65f2ff2cb6",
    }
    dimension = 128

    def __init__(self, shape: Shape, data: str, train: Tensor | None = None) -> None:
        super().__init__()
        stream = numpy.random.Philox(key=self.KEY)
        widths = [shape[0], 32, 32, 32]
        layers: list[nn.Module] = []
        digest = hashlib.sha256()
        for inputs, outputs in pairwise(widths):
            layer = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
            bits = stream.random_raw(layer.weight.numel()) >> numpy.uint64(40)
            # Uniform on [-1, 1) with 24 bits, exact in float32, times He's bound sqrt(6 / fan in).
            uniform = (bits.astype(numpy.float64) / 2**23 - 1).astype(numpy.float32)
            digest.update(uniform.tobytes())
            weight = torch.from_numpy(uniform).reshape(layer.weight.shape)
            layer.weight.data = weight * math.sqrt(6 / (9 * inputs))
            layers += [layer, nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.name = f"random{self.dimension}"
        self.digest = digest.hexdigest()
        if self.DIGESTS.get(shape[0], self.digest) != self.digest:
            raise UsageError(
                f"numpy {numpy.__version__} draws other weights for {self.name} than were "
                "published; use another version of numpy"
            )
        self.requires_grad_(False).eval()
        self.to(memory_format=torch.channels_last)  # faster on a CPU by a fifth

    def forward(self, pixels: Tensor) -> Features:
        """Features (B, 128), no logits."""
        return Features(self.layers(2 * pixels - 1))
