"""Fully connected networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from gen_models.networks.layers import Shape, bound_slope, dense, gated_dense


class MLPGenerator(nn.Module):
    """z (B, D) to pre-activations (B, C, H, W) through ReLU or gated layers.

    Args:
        latent_dim: D.
        shape: (C, H, W) of the images.
        hidden: Widths of the hidden layers, from z to the image; none: a linear map.
        gated: Whether hidden layers are gated.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: Shape,
        hidden: Sequence[int] = (256, 512),
        gated: bool = False,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        sizes = [latent_dim, *hidden, math.prod(shape)]
        self.layers = gated_dense(sizes) if gated else dense(sizes, nn.ReLU, last=False)

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) to (B, C, H, W)."""
        return self.layers(z).unflatten(1, self.shape)


class MLPTrunk(nn.Module):
    """Images (B, C, H, W) to features (B, F) through leaky ReLU or gated layers.

    Args:
        shape: (C, H, W) of the images.
        features: F.
        hidden: Widths of the hidden layers, from the image to the features; none: a linear map.
        gated: Whether hidden layers are gated.
        spectral: Whether every layer's weight is divided by its largest singular value.
    """

    def __init__(
        self,
        shape: Shape,
        features: int,
        hidden: Sequence[int] = (512, 256),
        gated: bool = False,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        sizes = [math.prod(shape), *hidden, features]
        leaky = partial(nn.LeakyReLU, 0.2)
        self.layers = gated_dense(sizes) if gated else dense(sizes, leaky, last=False)
        if spectral:
            bound_slope(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, F)."""
        return self.layers(x.flatten(1))
