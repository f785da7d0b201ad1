"""Strided convolutions in the manner of DCGAN (Radford et al., 2016), for any image size.

Width doubles with each halving of the size. With `stages=2, width=64, hidden=[1024]` the pair is
the net of InfoGAN's size that Lucic et al. (2018) gave to every model they compared, whose weights
begin with `deviation=0.02`; with
`refine=True, width=64` it is SN-DCGAN's (Miyato et al., 2018, table 3), but for leaky ReLUs of
slope 0.2 in the place of 0.1.
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
    begin,
    bound_slope,
    channels_last,
    dense,
    doubling,
    pyramid,
)
from gen_models.networks.norms import CLASS_BATCH, Layers, classes_apart, normalisation


class ConvGenerator(nn.Module):
    """z (B, D) to pre-activations (B, C, H, W) by transposed convolutions, 4 x 4 of stride 2.

    Args:
        latent_dim: D.
        shape: (C, H, W) of the images, any size.
        width: Channels before the last layer; doubled at each coarser stage.
        stages: How often the size doubles; None: from a grid of at most 4 pixels a side.
        hidden: Widths of dense layers before the grid.
        norm: "batch", which with `hidden` sees each feature of the dense layers by itself, those of
            the grid too (InfoGAN: Chen et al., 2016, appendix C); "group"; None; or "class_batch":
            the last of the latents are then the one-hot class, which these layers see, and the
            dense ones do not (Miyato & Koyama, 2018).
        num_classes: K, for `class_batch` alone.
        refine: Whether a 3 x 3 convolution makes the image, behind the last doubling.
        deviation: Of the weights before training, 0.02 for DCGAN; None: torch's own start.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: Shape,
        width: int = 32,
        stages: int | None = None,
        hidden: Sequence[int] = (),
        norm: str | None = "batch",
        num_classes: int | None = None,
        refine: bool = False,
        deviation: float | None = None,
    ) -> None:
        super().__init__()
        at_least_one("width", width)
        *targets, (height, base) = pyramid(shape, stages)
        refine = refine or not targets
        self.classes = num_classes or 0 if norm == CLASS_BATCH else 0
        sizes = [latent_dim - self.classes, *hidden]
        channels = [width * 2**i for i in reversed(range(len(targets) + refine))]
        self.dense = dense(sizes, nn.ReLU, batch_norm=norm == "batch")
        self.grid = (channels[0], height, base)
        features = channels[0] * height * base
        apart = norm == "batch" and bool(hidden)
        layers: list[nn.Module] = [nn.Linear(sizes[-1], features)]
        layers += [nn.BatchNorm1d(features)] if apart else []
        layers.append(nn.Unflatten(1, self.grid))
        outputs = channels[1:] if refine else [*channels[1:], shape[0]]
        kinds = [None if apart else norm, *(norm for _ in targets)]
        for kind, inputs, output, size in zip(
            kinds, channels, outputs, reversed(targets), strict=False
        ):
            layers += [normalisation(kind, inputs, num_classes), nn.ReLU()]
            layers += [doubling(inputs, output), Crop(size)]
        if refine:
            layers += [normalisation(norm, channels[-1], num_classes), nn.ReLU()]
            layers.append(nn.Conv2d(channels[-1], shape[0], 3, padding=1))
        self.layers = Layers(*layers)
        begin(self, deviation)
        channels_last(self)

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) to (B, C, H, W)."""
        z, classes = classes_apart(z, self.classes)
        return self.layers(self.dense(z), classes)


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
        refine: Whether a 3 x 3 convolution widens the channels before each halving, and once more
            behind the last one.
        spectral: Whether every layer's weight is divided by its largest singular value.
        deviation: Of the weights before training, 0.02 for DCGAN; None: torch's own start.
    """

    def __init__(
        self,
        shape: Shape,
        features: int,
        width: int = 32,
        stages: int | None = None,
        hidden: Sequence[int] = (),
        norm: str | None = None,
        refine: bool = False,
        spectral: bool = False,
        deviation: float | None = None,
    ) -> None:
        super().__init__()
        *halved, (height, base) = pyramid(shape, stages)
        at_least_one("width", width)
        channels = [shape[0], *(width * 2**i for i in range(len(halved) + refine))]
        layers: list[nn.Module] = []

        def convolve(inputs: int, outputs: int, size: int, stride: int) -> None:
            kind = norm if layers else None
            layers.extend([PadToEven()] if stride > 1 else [])
            layers.append(nn.Conv2d(inputs, outputs, size, stride=stride, padding=1))
            layers.extend([normalisation(kind, outputs), nn.LeakyReLU(0.2)])

        for index, (inputs, outputs) in enumerate(pairwise(channels)):
            if refine:
                convolve(inputs, outputs, 3, 1)
            if index < len(halved):
                convolve(outputs if refine else inputs, outputs, 4, 2)
        sizes = [channels[-1] * height * base, *hidden, features]
        layers += [nn.Flatten(), dense(sizes, lambda: nn.LeakyReLU(0.2), last=False)]
        self.layers = nn.Sequential(*layers)
        begin(self, deviation)
        if spectral:
            bound_slope(self)
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, F)."""
        return self.layers(x)
