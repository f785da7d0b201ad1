"""An average of a network over training, in images."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from gen_models.errors import UsageError


class ExponentialAverage(nn.Module):
    r"""A copy that follows a network: $\bar\theta \leftarrow \beta\bar\theta + (1-\beta)\theta$.

    $\beta = 2^{-B/H}$ for B images shown and a half-life of H images. Floating buffers (batch
    statistics) are averaged too, other buffers are copied.

    Args:
        network: The network that is followed.
        half_life: H, images.
    """

    def __init__(self, network: nn.Module, half_life: float) -> None:
        super().__init__()
        if not half_life > 0:
            raise UsageError(f"ema_half_life must be above 0 images, not {half_life}")
        self.half_life = half_life
        self.network = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, images: int) -> None:
        """Follow `network` after `images` more images."""
        weight = 1 - 0.5 ** (images / self.half_life)
        mine = [*self.network.parameters(), *self.network.buffers()]
        theirs = [*network.parameters(), *network.buffers()]
        pairs = [(m, t) for m, t in zip(mine, theirs, strict=True) if m.is_floating_point()]
        torch._foreach_lerp_([m for m, _ in pairs], [t for _, t in pairs], weight)
        for m, t in zip(mine, theirs, strict=True):
            if not m.is_floating_point():
                m.copy_(t)

    def forward(self, z: Tensor) -> Tensor:
        """The averaged network's output."""
        return self.network(z)
