"""Any network of the user's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gen_models.errors import UsageError
from gen_models.evaluation.extractors.features import Extractor, Features, Shape


class Network(Extractor):
    """Any network of the user's, such as DINOv2 or CLIP, from images to vectors (B, D).

    Args:
        shape: (C, H, W) of the images to be seen.
        data: Unused.
        train: Unused.
        network: Maps images (B, channels, H, W) to (B, D), or to (B, D, ...), which is averaged.
        name: What to call it; the dimension is added.
        size: Side in pixels that images are resized to (bicubic, antialiased); None: as they are.
        channels: That the network wants; grey images are repeated. None: as they are.
        mean: Per channel, subtracted from pixels in [0, 1].
        deviation: Per channel, divided by.

    Raises:
        UsageError: If the network does not give one finite vector an image.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        shape: Shape,
        data: str,
        train: Tensor | None = None,
        *,
        network: nn.Module,
        name: str,
        size: int | None = None,
        channels: int | None = None,
        mean: Sequence[float] = (0.0,),
        deviation: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__()
        self.network = network
        self.size = None if size is None else (size, size)
        self.channels = shape[0] if channels is None else channels
        if shape[0] not in (1, self.channels):
            raise UsageError(f"{name} sees {self.channels} channels, the images have {shape[0]}")
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(-1, 1, 1), persistent=False)
        self.requires_grad_(False).eval()
        self.dimension = self._tried(shape, name)
        self.name = f"{name}{self.dimension}"
        seen = {"size": size, "channels": channels, "mean": [*mean], "deviation": [*deviation]}
        self.digest = weights_digest(network, seen)

    def _tried(self, shape: Shape, name: str) -> int:
        with torch.no_grad():
            given = self(torch.zeros(2, *shape)).features
        if given.ndim != 2 or len(given) != 2 or not given.isfinite().all():
            raise UsageError(
                f"{name} gives {tuple(given.shape)} for two images; wanted are two finite vectors"
            )
        return given.shape[1]

    def forward(self, pixels: Tensor) -> Features:
        """Features (B, D), no logits."""
        x = pixels.expand(-1, self.channels, -1, -1)
        if self.size is not None:
            x = torch.nn.functional.interpolate(x, self.size, mode="bicubic", antialias=True)
        features = self.network((x - self.mean) / self.deviation)
        return Features(features.flatten(2).mean(2) if features.ndim > 2 else features)


def weights_digest(network: nn.Module, preprocessing: dict[str, Any]) -> str:
    """SHA-256 over a network's structure, options and weights, and what is done to images before.

    Options are the plain attributes of its modules, such as the layer that features are taken from.
    """
    plain = bool, int, float, str, tuple, list, type(None)
    options = {
        name: {k: repr(v) for k, v in sorted(vars(module).items()) if isinstance(v, plain)}
        for name, module in network.named_modules()
    }
    digest = hashlib.sha256(json.dumps([repr(network), options, preprocessing]).encode())
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
