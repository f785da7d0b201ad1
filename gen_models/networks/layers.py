"""The few pieces that the networks share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, pad
from torch.nn.utils.parametrizations import spectral_norm

from gen_models.errors import UsageError

Shape = tuple[int, int, int]
"""(C, H, W) of an image: channels, height, width."""


def at_least_one(name: str, value: int) -> int:
    """The value.

    Raises:
        UsageError: If it is below 1.
    """
    if value < 1:
        raise UsageError(f"{name} must be 1 or more, not {value}")
    return value


def pyramid(shape: Shape, stages: int | None, smallest: int = 4) -> list[tuple[int, int]]:
    """Sizes (H, W) from the image down to the grid where a network starts, halved and rounded up.

    Args:
        shape: (C, H, W).
        stages: How often to halve; None: until the longer side is at most `smallest`.
        smallest: The longer side of the start grid, in pixels.

    Raises:
        UsageError: If `stages` is below 0.

    Example:
        >>> pyramid((1, 28, 28), None)
        [(28, 28), (14, 14), (7, 7), (4, 4)]
    """
    sizes = [(shape[1], shape[2])]
    if stages is not None and stages < 0:
        raise UsageError(f"stages must be 0 or more, or null, not {stages}")
    while (len(sizes) <= stages) if stages is not None else (max(sizes[-1]) > smallest):
        height, width = sizes[-1]
        sizes.append((math.ceil(height / 2), math.ceil(width / 2)))
    return sizes


def dense(
    sizes: Sequence[int],
    activation: Callable[[], nn.Module],
    last: bool = True,
    batch_norm: bool = False,
) -> nn.Sequential:
    """Linear layers through `sizes`, an activation after each; after the last if `last`.

    Batch norm, if any, stands before each activation.

    Raises:
        UsageError: If a width is below 1.
    """
    for size in sizes:
        at_least_one("hidden", size)
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(inputs, outputs))
        if last or index < len(sizes) - 2:
            layers += [nn.BatchNorm1d(outputs)] if batch_norm else []
            layers.append(activation())
    return nn.Sequential(*layers)


def gated_dense(sizes: Sequence[int]) -> nn.Sequential:
    r"""Layers $(W x + b) \odot \mathrm{sigmoid}(V x + c)$ through `sizes`; the last one is linear.

    Gated linear units (Dauphin et al., 2017), as in Tomczak & Welling (2018).

    Raises:
        UsageError: If a width is below 1.
    """
    for size in sizes:
        at_least_one("hidden", size)
    *hidden, (inputs, outputs) = pairwise(sizes)
    layers: list[nn.Module] = []
    for width, wider in hidden:
        layers += [nn.Linear(width, 2 * wider), nn.GLU()]
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def begin(network: nn.Module, deviation: float | None) -> None:
    r"""Draw the weights of all linear maps and convolutions from $N(0, \sigma^2)$, biases 0.

    So do adversaries in the manner of DCGAN, with sigma = 0.02 (Radford et al., 2016, section 4).
    torch's own rule takes a transposed convolution's outputs for its inputs: where they are few,
    the first images lie at the ends of tanh, and a strong discriminator never lets go of them.

    Args:
        network: Changed in place.
        deviation: sigma, > 0; None: torch's own start.

    Raises:
        UsageError: If it is not above 0.
    """
    if deviation is None:
        return
    if not deviation > 0:
        raise UsageError(f"deviation={deviation} of the first weights must be above 0")
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def bound_slope(network: nn.Module) -> None:
    r"""Divide every linear map and convolution by its largest singular value, $W / \sigma(W)$.

    Spectral normalisation (Miyato et al., 2018, section 2.1), a convolution's weight reshaped to
    (outputs, inputs x kernel). In training mode each use of the weight is one more step of power
    iteration, after 15 from a random start (torch); in evaluation mode nothing moves. The start is
    drawn behind all weights, which are the same draws with and without it.

    Args:
        network: Changed in place. Its state then holds `parametrizations.weight.original` and the
            singular vectors in the place of each weight.
    """
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            spectral_norm(layer)


def channels_last(network: nn.Module) -> None:
    """Lay the weights of convolutions out with the channels of a place beside each other.

    Values and shapes stay; convolutions take and give images so laid out, at 1.00 to 1.15 times the
    speed on a CPU (docs/decisions/0011). Done where a network is made, so that what is loaded
    computes, bit for bit, what was trained.

    Args:
        network: Changed in place.
    """
    network.to(memory_format=torch.channels_last)


class ToGrey(nn.ConvTranspose2d):
    """The transposed convolution, 4 x 4 of stride 2, that makes an image of one channel.

    The same map, weights and start as torch's. On a CPU torch's library has no fast way to a single
    channel: there it is a product of matrices whose patches are added up, 4 times as fast, 2 with
    its gradients (docs/decisions/0011).

    Args:
        inputs: Channels.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1, 4, stride=2, padding=1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, H, W) to (B, 1, 2 H, 2 W)."""
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x, output_size)
        patches = self.weight.flatten(1).T @ x.flatten(2)
        image = fold(patches, (2 * x.shape[2], 2 * x.shape[3]), 4, padding=1, stride=2)
        assert self.bias is not None
        return image + self.bias


def doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """A transposed convolution, 4 x 4 of stride 2: (B, C, H, W) to (B, C', 2 H, 2 W)."""
    if outputs == 1:
        return ToGrey(inputs)
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


class PadToEven(nn.Module):
    """Repeats the last row or column where a side is odd, so that halving rounds up."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H + H % 2, W + W % 2)."""
        height, width = x.shape[-2:]
        if height % 2 == 0 and width % 2 == 0:
            return x
        return pad(x, (0, width % 2, 0, height % 2), mode="replicate")


class Crop(nn.Module):
    """Keeps the first `size` = (H, W) rows and columns: undoes `PadToEven`."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H', W') to (B, C, H, W)."""
        if tuple(x.shape[-2:]) == self.size:
            return x  # a slice of everything would be copied on the way back
        return x[..., : self.size[0], : self.size[1]]
