r"""The small norm-free residual pair of R3GAN (Huang et al., 2024, section 4), for any image size.

Residual blocks are bottlenecks turned inside out, 1 x 1 - grouped 3 x 3 - 1 x 1, without any
normalisation. What keeps them stable is how they begin (Zhang et al., 2019): the last convolution
of each at zero, the others scaled by $L^{-1/4}$ for L blocks in the network. Sizes change between
blocks, where there is no shortcut.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from gen_models.networks.layers import PadToEven, Shape, at_least_one, channels_last, pyramid
from gen_models.networks.resnet import Halve

SLOPE = 0.2
GROUP = 16
"""Channels of a group of the 3 x 3 convolution, or the largest share of them that fits."""


class R3Block(nn.Module):
    """x + conv(leaky(grouped conv(leaky(conv(x))))): the identity at the start.

    Args:
        width: C, channels of x; twice as many inside.
        blocks: L, how many such blocks the network has.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        inside = 2 * width
        groups = inside // math.gcd(GROUP, inside)
        first = nn.Conv2d(width, inside, 1)
        second = nn.Conv2d(inside, inside, 3, padding=1, groups=groups)
        last = nn.Conv2d(inside, width, 1, bias=False)
        for layer in (first, second):
            nn.init.kaiming_normal_(layer.weight, a=SLOPE)
            layer.weight.data.mul_(blocks**-0.25)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(last.weight)
        leaky = (nn.LeakyReLU(SLOPE), nn.LeakyReLU(SLOPE))
        self.residual = nn.Sequential(first, leaky[0], second, leaky[1], last)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return x + self.residual(x)


class R3Generator(nn.Module):
    """z (B, D) to pre-activations (B, C, H, W): blocks at each size, doubled by interpolation.

    Args:
        latent_dim: D.
        shape: (C, H, W) of the images, any size.
        width: Channels at every size.
        blocks: Residual blocks at every size.
    """

    def __init__(self, latent_dim: int, shape: Shape, width: int = 64, blocks: int = 1) -> None:
        super().__init__()
        at_least_one("width", width)
        at_least_one("blocks", blocks)
        *targets, (height, base) = pyramid(shape, None)
        total = blocks * (len(targets) + 1)
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, width * height * base),
            nn.Unflatten(1, (width, height, base)),
            *(R3Block(width, total) for _ in range(blocks)),
        ]
        for size in reversed(targets):
            layers += [nn.Upsample(size=size, mode="bilinear")]
            layers += [R3Block(width, total) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, shape[0], 1))
        channels_last(self)

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) to (B, C, H, W)."""
        return self.layers(z)


class R3Trunk(nn.Module):
    """Images (B, C, H, W) to features (B, F): the generator's mirror, halved by averages.

    Args:
        shape: (C, H, W) of the images, any size.
        features: F.
        width: Channels at every size.
        blocks: Residual blocks at every size.
    """

    def __init__(self, shape: Shape, features: int, width: int = 64, blocks: int = 1) -> None:
        super().__init__()
        at_least_one("width", width)
        at_least_one("blocks", blocks)
        *halved, (height, base) = pyramid(shape, None)
        total = blocks * (len(halved) + 1)
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 1)]
        for _ in halved:
            layers += [R3Block(width, total) for _ in range(blocks)]
            layers += [PadToEven(), Halve()]
        layers += [R3Block(width, total) for _ in range(blocks)]
        layers += [nn.Flatten(), nn.Linear(width * height * base, features)]
        self.layers = nn.Sequential(*layers)
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, F)."""
        return self.layers(x)
