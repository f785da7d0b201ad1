"""Normalisation layers by name, and the one that sees the class."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gen_models.errors import UsageError

CLASS_BATCH = "class_batch"

NORMS: dict[str | None, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(math.gcd(8, channels), channels),
    None: lambda channels: nn.Identity(),
}


def normalisation(kind: str | None, channels: int, num_classes: int | None = None) -> nn.Module:
    """A normalisation layer of (B, C, H, W) by name.

    Args:
        kind: "batch", "group" (at most 8 groups), None, or "class_batch" where classes are seen.
        channels: C.
        num_classes: K of the classes that are seen, if any.

    Raises:
        UsageError: If the name is none of these, or there are no classes for it to see.
    """
    if kind == CLASS_BATCH:
        if num_classes is None:
            raise UsageError(
                "norm: class_batch needs the class, which the generators of conditional families "
                "see and no other network (model=cgan, ac_gan, conditional_vae)"
            )
        return ClassBatchNorm(channels, num_classes)
    if kind not in NORMS:
        raise UsageError(
            f"norm must be batch, group or null, or class_batch where a generator sees the class, "
            f"not {kind!r}"
        )
    return NORMS[kind](channels)


class SeesClass(nn.Module):
    """A layer that is called with the class beside its input: `layer(x, classes)`."""


class ClassBatchNorm(SeesClass):
    r"""$\gamma^T y \odot \mathrm{BatchNorm}(x) + \beta^T y$ with y the one-hot class.

    De Vries et al. (2017), equation 5, with gains and biases linear in y as in Miyato & Koyama
    (2018). All classes begin with gain 1 and bias 0; a single class makes it `nn.BatchNorm2d`.

    Args:
        channels: C.
        num_classes: K.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Parameter(torch.ones(num_classes, channels))
        self.bias = nn.Parameter(torch.zeros(num_classes, channels))

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        """(B, C, H, W) and classes (B, K), one-hot or shares, to (B, C, H, W)."""
        gain, bias = (classes @ each for each in (self.gain, self.bias))
        return self.normalise(x) * gain[..., None, None] + bias[..., None, None]


class Layers(nn.Sequential, SeesClass):
    """Layers one after the other; those that see the class are handed it."""

    def forward(self, x: Tensor, classes: Tensor | None = None) -> Tensor:
        """What the last layer gives, of x and of classes (B, K) where there are any."""
        for layer in self:
            x = layer(x, classes) if isinstance(layer, SeesClass) else layer(x)
        return x


def classes_apart(z: Tensor, count: int) -> tuple[Tensor, Tensor | None]:
    """Latents (B, D + K) as z (B, D) beside classes (B, K = count); None where count is 0."""
    return (z[:, :-count], z[:, -count:]) if count else (z, None)
