"""Residual networks with pre-activation blocks (He et al., 2016), in the manner of SNGAN."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from gen_models.networks.layers import Crop, PadToEven, Shape, at_least_one, normalisation, pyramid


class ResidualBlock(nn.Module):
    """norm, ReLU, conv, norm, ReLU, conv beside a 1 x 1 shortcut: (B, C, H, W) to (B, C', H, W).

    Args:
        inputs: C.
        outputs: C'.
        norm: "batch", "group" or None.
    """

    def __init__(self, inputs: int, outputs: int, norm: str | None) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.residual = nn.Sequential(
            normalisation(norm, inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            normalisation(norm, outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W)."""
        return self.shortcut(x) + self.residual(x)


class Double(nn.Module):
    """Nearest-neighbour doubling of (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, 2H, 2W)."""
        return interpolate(x, scale_factor=2.0, mode="nearest")


class Halve(nn.Module):
    """Averages 2 x 2 pixels of (B, C, H, W), H and W even."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H/2, W/2)."""
        return avg_pool2d(x, 2)


class ResNetGenerator(nn.Module):
    """z (B, D) to pre-activations (B, C, H, W): a residual block after each doubling.

    Args:
        latent_dim: D.
        shape: (C, H, W) of the images, any size.
        width: Channels of every block.
        norm: "batch", "group" or None.
    """

    def __init__(
        self, latent_dim: int, shape: Shape, width: int = 64, norm: str | None = "batch"
    ) -> None:
        super().__init__()
        at_least_one("width", width)
        *targets, (height, base) = pyramid(shape, None)
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, width * height * base),
            nn.Unflatten(1, (width, height, base)),
        ]
        for size in reversed(targets):
            layers += [Double(), Crop(size), ResidualBlock(width, width, norm)]
        layers += [normalisation(norm, width), nn.ReLU(), nn.Conv2d(width, shape[0], 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) to (B, C, H, W)."""
        return self.layers(z)


class ResNetTrunk(nn.Module):
    """Images (B, C, H, W) to features (B, F): a residual block before each halving.

    Args:
        shape: (C, H, W) of the images, any size.
        features: F.
        width: Channels of every block.
        norm: "batch", "group" or None.
    """

    def __init__(
        self, shape: Shape, features: int, width: int = 64, norm: str | None = None
    ) -> None:
        super().__init__()
        at_least_one("width", width)
        *halved, (height, base) = pyramid(shape, None)
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1)]
        for _ in halved:
            layers += [ResidualBlock(width, width, norm), PadToEven(), Halve()]
        layers += [nn.ReLU(), nn.Flatten(), nn.Linear(width * height * base, features)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, F)."""
        return self.layers(x)
