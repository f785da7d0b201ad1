"""Residual networks with pre-activation blocks (He et al., 2016), in the manner of SNGAN.

With `projected=True` and, for the trunk, `stages=2, further=2, stem=False, pooled=True`, widths 256
and 128, the pair is the published one for CIFAR-10 (Miyato et al., 2018, table 4): at 32 x 32 and
128 latents it has the same numbers of parameters.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from gen_models.networks.layers import (
    Crop,
    PadToEven,
    Shape,
    at_least_one,
    bound_slope,
    channels_last,
    pyramid,
)
from gen_models.networks.norms import (
    CLASS_BATCH,
    Layers,
    SeesClass,
    classes_apart,
    normalisation,
)


class ResidualBlock(SeesClass):
    """norm, ReLU, conv, norm, ReLU, conv beside a 1 x 1 shortcut: (B, C, H, W) to (B, C', H, W).

    Args:
        inputs: C.
        outputs: C'.
        norm: "batch", "group", None, or "class_batch" where classes are seen.
        num_classes: K of the classes that are seen, if any.
        projected: Whether the shortcut is a convolution even where C = C'.
        first: Whether it sees the image itself, which is neither normalised nor rectified.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        norm: str | None,
        num_classes: int | None = None,
        projected: bool = False,
        first: bool = False,
    ) -> None:
        super().__init__()
        project = projected or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if project else nn.Identity()
        opening = [] if first else [normalisation(norm, inputs, num_classes), nn.ReLU()]
        self.residual = Layers(
            *opening,
            nn.Conv2d(inputs, outputs, 3, padding=1),
            normalisation(norm, outputs, num_classes),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )

    def forward(self, x: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, C, H, W), and classes (B, K) where they are seen, to (B, C', H, W)."""
        return self.shortcut(x) + self.residual(x, classes)


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


class SumPixels(nn.Module):
    """Sums (B, C, H, W) over all pixels."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C)."""
        return x.sum((2, 3))


class ResNetGenerator(nn.Module):
    """z (B, D) to pre-activations (B, C, H, W): a residual block after each doubling.

    Args:
        latent_dim: D.
        shape: (C, H, W) of the images, any size.
        width: Channels of every block.
        norm: "batch", "group", None; or "class_batch": the last of the latents are then the one-hot
            class, which these layers see, and the dense one does not (Miyato & Koyama, 2018).
        num_classes: K, for `class_batch` alone.
        projected: Whether shortcuts are 1 x 1 convolutions.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: Shape,
        width: int = 64,
        norm: str | None = "batch",
        num_classes: int | None = None,
        projected: bool = False,
    ) -> None:
        super().__init__()
        at_least_one("width", width)
        *targets, (height, base) = pyramid(shape, None)
        self.classes = num_classes or 0 if norm == CLASS_BATCH else 0
        layers: list[nn.Module] = [
            nn.Linear(latent_dim - self.classes, width * height * base),
            nn.Unflatten(1, (width, height, base)),
        ]
        for size in reversed(targets):
            block = ResidualBlock(width, width, norm, num_classes, projected)
            layers += [Double(), Crop(size), block]
        layers += [normalisation(norm, width, num_classes), nn.ReLU()]
        self.layers = Layers(*layers, nn.Conv2d(width, shape[0], 3, padding=1))
        channels_last(self)

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) to (B, C, H, W)."""
        return self.layers(*classes_apart(z, self.classes))


class ResNetTrunk(nn.Module):
    """Images (B, C, H, W) to features (B, F): a residual block before each halving.

    Args:
        shape: (C, H, W) of the images, any size.
        features: F.
        width: Channels of every block.
        norm: "batch", "group" or None.
        stages: How often the size halves; None: down to a grid of at most 4 pixels a side.
        further: Blocks behind the last halving.
        stem: Whether a convolution comes first; else the first block sees the image itself.
        projected: Whether shortcuts are 1 x 1 convolutions where the size is halved.
        pooled: Whether features are summed over the grid, not laid out.
        spectral: Whether every layer's weight is divided by its largest singular value.
    """

    def __init__(
        self,
        shape: Shape,
        features: int,
        width: int = 64,
        norm: str | None = None,
        stages: int | None = None,
        further: int = 0,
        stem: bool = True,
        projected: bool = False,
        pooled: bool = False,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        at_least_one("width", width)
        *halved, (height, base) = pyramid(shape, stages)
        inputs = [width if stem else shape[0], *[width] * (len(halved) + further)]
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1)] if stem else []
        for index in range(len(halved) + further):
            halves = index < len(halved)
            first = index == 0 and not stem
            block = ResidualBlock(
                inputs[index], width, norm, projected=projected and halves, first=first
            )
            layers += [block, PadToEven(), Halve()] if halves else [block]
        layers += [nn.ReLU(), SumPixels() if pooled else nn.Flatten()]
        cells = 1 if pooled else height * base
        self.layers = nn.Sequential(*layers, nn.Linear(inputs[-1] * cells, features))
        if spectral:
            bound_slope(self)
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, F)."""
        return self.layers(x)
