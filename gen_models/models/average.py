"""An average of a network over training, in images."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from gen_models.errors import UsageError


class ExponentialAverage(nn.Module):
    r"""A copy that follows a network: $\bar\theta \leftarrow \beta\bar\theta + (1-\beta)\theta$.

    $\beta = 2^{-B/H}$ for B images shown and a half-life of H images. Floating buffers (batch
    statistics) are averaged too, other buffers are copied. Singular vectors of spectral
    normalisation are no averages: each update is one more step of power iteration on the averaged
    weight.

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
        # In a tuple, which `nn.Module` does not look into.
        self._bounded = tuple(
            part for part in self.network.modules() if isinstance(part, ParametrizationList)
        )

    @torch.no_grad()
    def update(self, network: nn.Module, images: int) -> None:
        """Follow `network` after `images` more images."""
        weight = 1 - 0.5 ** (images / self.half_life)
        mine = [*self.network.parameters(), *self.network.buffers()]
        theirs = [*network.parameters(), *network.buffers()]
        vectors = {id(vector) for each in self._bounded for vector in each.buffers()}
        pairs = [
            (m, t)
            for m, t in zip(mine, theirs, strict=True)
            if m.is_floating_point() and id(m) not in vectors
        ]
        torch._foreach_lerp_([m for m, _ in pairs], [t for _, t in pairs], weight)
        for m, t in zip(mine, theirs, strict=True):
            if not m.is_floating_point():
                m.copy_(t)
        for each in self._bounded:
            each()  # which iterates, in training mode

    def forward(self, z: Tensor) -> Tensor:
        """The averaged network's output."""
        return self.network(z)
