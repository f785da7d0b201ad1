"""Samples over real points: the picture of data that are points and no images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gen_models.evaluation.contract import as_floats
from gen_models.evaluation.evaluate import undisturbed

MARGIN = 0.1
"""Left free on each side, as a part of the range of the real points."""


@dataclass(frozen=True)
class Scatter:
    """Samples over real points, by their first two coordinates.

    Attributes:
        name: Stem of its file.
        title: What it shows.
        caption: How to read it.
        real: (N, 2), float.
        fake: (M, 2), float.
        window: (2, 2): least and greatest value shown of each coordinate.
    """

    name: str
    title: str
    caption: str
    real: Tensor
    fake: Tensor
    window: Tensor

    def save(self, path: Path) -> Path:
        """Write it as PNG, 480 pixels square."""
        from matplotlib.figure import Figure  # heavy, and only needed here

        figure = Figure(figsize=(4.8, 4.8), dpi=100, layout="constrained")
        axes = figure.add_subplot()
        # No legend: it would lie over points. The caption says the colours.
        for points, colour in ((self.real, "#b0b0b0"), (self.fake, "#0072B2")):
            x, y = points.T.tolist()
            axes.scatter(x, y, s=4, linewidths=0, color=colour)
        (left, right), (bottom, top) = self.window.tolist()
        axes.set(xlim=(left, right), ylim=(bottom, top))
        figure.savefig(path, format="png")
        return path


def are_points(images: Tensor) -> bool:
    """Whether stored images (N, C, H, W) are points with two coordinates and more, no pictures."""
    return images.is_floating_point() and images.shape[1:3] == (1, 1) and images.shape[3] > 1


def sample_scatter(
    model: Any, real: Tensor, device: torch.device, seed: int, count: int = 2000
) -> Scatter:
    """Samples at the first draws of the seed, over as many real points.

    Args:
        model: Samples points (N, 1, 1, D).
        real: (N, 1, 1, D), float32; the picture's range is theirs.
        device: Where the model is.
        seed: Of the samples.
        count: Samples, and at most so many real points.

    Raises:
        UsageError: If a sample is not finite.
    """
    generator = torch.Generator(device).manual_seed(seed)
    with undisturbed(model, seed):
        drawn = as_floats(model.sample(count, generator)).images
    shown, fake = (points[:count].flatten(1)[:, :2].cpu() for points in (real, drawn))
    low, high = shown.aminmax(dim=0)
    margin = MARGIN * (high - low).clamp_min(1e-6)
    low, high = low - margin, high + margin
    outside = int(((fake < low) | (fake > high)).any(1).sum())
    caption = (
        f"Blue: {count} samples (seed {seed}), {outside} of them outside the picture. "
        f"Grey: {len(shown)} real points."
    )
    if real.shape[3] > 2:
        caption += f" The first two of {real.shape[3]} coordinates."
    return Scatter("samples", "Samples", caption, shown, fake, torch.stack([low, high], dim=1))
