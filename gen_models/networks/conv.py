"""Strided convolutions in the manner of DCGAN (Radford et al., 2016), for any image size.

Width doubles with each halving of the size. With `stages=2, width=64, hidden=[1024]` the pair is
the net of InfoGAN's size that Lucic et al. (2018) gave to every model they compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from gen_models.networks.layers import (
    Crop,
    PadToEven,
    Shape,
    at_least_one,
    dense,
    normalisation,
    pyramid,
)


class ConvGenerator(nn.Module):
    """z (B, D) to pre-activations (B, C, H, W) by transposed convolutions, 4 x 4 of stride 2.

    Args:
        latent_dim: D.
        shape: (C, H, W) of the images, any size.
        width: Channels before the last layer; doubled at each coarser stage.
        stages: How often the size doubles; None: from a grid of at most 4 pixels a side.
        hidden: Widths of dense layers before the grid.
        norm: "batch", "group" or None.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: Shape,
        width: int = 32,
        stages: int | None = None,
        hidden: Sequence[int] = (),
        norm: str | None = "batch",
    ) -> None:
        super().__init__()
        at_least_one("width", width)
        *targets, (height, base) = pyramid(shape, stages)
        channels = [width * 2**i for i in reversed(range(max(1, len(targets))))]
        self.dense = dense([latent_dim, *hidden], nn.ReLU)
        self.grid = (channels[0], height, base)
        start = nn.Linear([latent_dim, *hidden][-1], channels[0] * height * base)
        layers: list[nn.Module] = [start, nn.Unflatten(1, self.grid)]
        layers += [normalisation(norm, channels[0]), nn.ReLU()]
        outputs = [*channels[1:], shape[0]]
        for inputs, output, size in zip(channels, outputs, reversed(targets), strict=False):
            layers += [nn.ConvTranspose2d(inputs, output, 4, stride=2, padding=1), Crop(size)]
            layers += [normalisation(norm, output), nn.ReLU()]
        if targets:
            del layers[-2:]  # the image itself is neither normalised nor rectified
        else:
            layers.append(nn.Conv2d(channels[0], shape[0], 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) to (B, C, H, W)."""
        return self.layers(self.dense(z))


class ConvTrunk(nn.Module):
    """Images (B, C, H, W) to features (B, F): convolutions 4 x 4 of stride 2, then dense layers.

    Norm-free by default: a discriminator's batch statistics would tie its samples to one another.

    Args:
        shape: (C, H, W) of the images, any size.
        features: F.
        width: Channels after the first layer; doubled at each coarser stage.
        stages: How often the size halves; None: down to a grid of at most 4 pixels a side.
        hidden: Widths of dense layers after the grid.
        norm: "batch", "group" or None; never on the first layer.
    """

    def __init__(
        self,
        shape: Shape,
        features: int,
        width: int = 32,
        stages: int | None = None,
        hidden: Sequence[int] = (),
        norm: str | None = None,
    ) -> None:
        super().__init__()
        *halved, (height, base) = pyramid(shape, stages)
        at_least_one("width", width)
        channels = [shape[0], *(width * 2**i for i in range(len(halved)))]
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(channels)):
            layers += [PadToEven(), nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)]
            layers += [normalisation(norm if index else None, outputs), nn.LeakyReLU(0.2)]
        sizes = [channels[-1] * height * base, *hidden, features]
        layers += [nn.Flatten(), dense(sizes, lambda: nn.LeakyReLU(0.2), last=False)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, F)."""
        return self.layers(x)
