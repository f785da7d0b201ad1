"""The density of points in the plane: the data's own, and the model's, noise and all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.observation import joint_of, missing_observation

CELLS = 128
"""In a row of the picture, and in a column."""
DRAWS = 400_000
DECADES = 4
"""Below the highest density: what is fainter is shown as nothing."""


@dataclass(frozen=True)
class DensityMap:
    """Two densities over the unit square, in one scale of colours.

    Attributes:
        name: Stem of its file.
        title: What it shows.
        caption: How to read it.
        data: (H, W), density of the data, first coordinate to the right, second upwards.
        model: (H, W), the model's.
    """

    name: str
    title: str
    caption: str
    data: Tensor
    model: Tensor

    def save(self, path: Path) -> Path:
        """Write it as PNG, 900 by 450 pixels."""
        from matplotlib.colors import LogNorm
        from matplotlib.figure import Figure  # heavy, and only needed here

        figure = Figure(figsize=(9.0, 4.5), dpi=100, layout="constrained")
        high = max(self.data.max().item(), self.model.max().item())
        scale = LogNorm(high * 10.0**-DECADES, high, clip=True)
        for axes, density, what in zip(
            figure.subplots(1, 2), (self.data, self.model), ("data", "model"), strict=True
        ):
            shown = {"norm": scale, "origin": "lower", "extent": (0, 1, 0, 1), "cmap": "magma"}
            axes.imshow(density.numpy(), **shown)
            axes.set_title(what)
        figure.savefig(path, format="png")
        return path


@torch.no_grad()
def density_map(evidence: Evidence) -> DensityMap | None:
    """The picture, where the data are points in the plane and both densities can be had.

    The data's is exact at the middle of each cell. The model's is a histogram of draws, of latents
    and of noise: the reading of `fitted_noise`, as for every family.

    Raises:
        UsageError: If the noise cannot be fitted.
    """
    in_plane = tuple(evidence.real.images.shape[1:]) == (1, 1, 2)
    if evidence.density is None or not in_plane or missing_observation("fitted_noise", evidence):
        return None
    middles = (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS
    points = torch.cartesian_prod(middles, middles)[:, [1, 0]].view(-1, 1, 1, 2)
    data = evidence.density.log_prob(points).exp().view(CELLS, CELLS)
    drawn, _ = joint_of("fitted_noise", evidence).simulate(DRAWS, evidence.generator())
    flat = drawn.flatten(1).cpu().double()
    counts = torch.histogramdd(flat, [CELLS, CELLS], range=[0.0, 1.0, 0.0, 1.0]).hist.T
    caption = (
        f"Left: the density that the data were drawn from. Right: {DRAWS:,} draws of the model "
        f"with Gaussian noise of {evidence.noise:.3g}, fitted on validation. {DECADES} decades."
    )
    title = "Densities of data and model"
    return DensityMap("density", title, caption, data, counts * CELLS**2 / DRAWS)
