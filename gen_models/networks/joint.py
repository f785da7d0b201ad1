"""A network that judges an image beside its latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gen_models.networks.layers import Shape, at_least_one
from gen_models.networks.mlp import MLPTrunk


class JointTrunk(nn.Module):
    """Images (B, C, H, W) and latents (B, D) to features (B, F), the image through a trunk first.

    As in ALI (Dumoulin et al., 2017), the image has layers of its own before it meets z.

    Args:
        shape: (C, H, W) of the images.
        latent_dim: D.
        features: F.
        trunk: Factory of the image's trunk, called with `shape` and `features`.
        image_features: What the trunk tells the dense layers, through a leaky ReLU.
        hidden: Widths of the dense layers, which see the image's features and z.
        spectral: Whether their weights are divided by their largest singular values; the trunk has
            an option of its own.
    """

    def __init__(
        self,
        shape: Shape,
        latent_dim: int,
        features: int,
        trunk: Callable[..., nn.Module],
        image_features: int = 256,
        hidden: Sequence[int] = (512, 512),
        spectral: bool = False,
    ) -> None:
        super().__init__()
        at_least_one("image_features", image_features)
        self.trunk = nn.Sequential(trunk(shape=shape, features=image_features), nn.LeakyReLU(0.2))
        seen = (image_features + latent_dim, 1, 1)
        self.joint = MLPTrunk(seen, features, hidden, spectral=spectral)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """(B, C, H, W) and (B, D) to (B, F)."""
        return self.joint(torch.cat([self.trunk(x), z], dim=1))
