"""Pictures of what a model makes, at fixed draws, so that models can be set side by side."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.utils import save_image

from gen_models.capabilities import Decodes, Reconstructs, Samples
from gen_models.data.ranges import quantise, to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation.contract import as_bytes
from gen_models.evaluation.density_map import DensityMap, density_map
from gen_models.evaluation.evaluate import undisturbed
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.reconstructions import Inversion
from gen_models.evaluation.scatter import Scatter, are_points, sample_scatter
from gen_models.evaluation.statistics.memorisation import nearest_training


@dataclass(frozen=True)
class Grid:
    """A picture of many images.

    Attributes:
        name: Stem of its file.
        title: What it shows.
        caption: How to read it.
        pixels: (N, C, H, W), in [0, 1].
        columns: Images in a row.
    """

    name: str
    title: str
    caption: str
    pixels: Tensor
    columns: int

    def save(self, path: Path) -> Path:
        """Write it as PNG, images a pixel apart on mid grey."""
        pixels = quantise(self.pixels.cpu())
        save_image(pixels, path, nrow=self.columns, padding=1, pad_value=0.5)
        return path


def sample_grid(model: Any, device: torch.device, seed: int, count: int = 64) -> Grid:
    """Samples at the first draws of the seed."""
    generator = torch.Generator(device).manual_seed(seed)
    with undisturbed(model, seed):
        pixels = to_pixels(as_bytes(model.sample(count, generator)).images)
    caption = f"{count} samples in the order they were drawn, none left out (seed {seed})."
    return Grid("samples", "Samples", caption, pixels, 8 if count <= 64 else 16)


def sample_picture(model: Any, real: Tensor, device: torch.device, seed: int) -> Grid | Scatter:
    """Samples at the first draws of the seed: a grid, or a scatter where the data are points."""
    if are_points(real):
        return sample_scatter(model, real, device, seed)
    return sample_grid(model, device, seed)


def pairs(name: str, title: str, caption: str, above: Tensor, below: Tensor, columns: int) -> Grid:
    """Rows of images, each above the row of what belongs to them."""
    rows = zip(above.split(columns), below.split(columns), strict=True)
    pixels = torch.cat([part for pair in rows for part in pair])
    return Grid(name, title, caption, pixels, columns)


def neighbours(evidence: Evidence, count: int) -> Grid:
    """Samples, each above the training image that is nearest by the first extractor."""
    view = evidence.views[0]
    fake = view.samples.fake.first(count).features
    _, indices = nearest_training(train=view.train.features, fake=fake)
    above = to_pixels(evidence.drawn.images[:count])
    below = to_pixels(evidence.train.images[indices.cpu()].cpu())
    by = f"the nearest training image by {view.extractor.name}"
    caption = f"Odd rows: samples. Below each: {by}."
    return pairs("neighbours", "Nearest training images", caption, above, below, 10)


@torch.no_grad()
def interpolation(model: Decodes, evidence: Evidence, rows: int = 6, columns: int = 10) -> Grid:
    r"""Decoded points of great circles between prior draws (spherical interpolation; White, 2016).

    $z_t = \frac{\sin((1-t)\omega)}{\sin\omega} z_0 + \frac{\sin(t\omega)}{\sin\omega} z_1$ keeps to
    the norms that the prior has; a straight line would pass near the origin, where it has no mass.
    """
    start, end = model.sample_prior(2 * rows, evidence.generator()).split(rows)
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=1).clamp(-0.999, 0.999)
    angle = cosine.acos()[:, None, None]
    t = torch.linspace(0, 1, columns, device=start.device)[None, :, None]
    left, right = torch.sin((1 - t) * angle), torch.sin(t * angle)
    z = (left * start[:, None] + right * end[:, None]) / torch.sin(angle)
    caption = "Each row: from one draw of the prior to another, along the sphere."
    return Grid("interpolation", "Interpolation", caption, model.decode(z.flatten(0, 1)), columns)


def gallery(
    evidence: Evidence, inversion: Inversion | None, count: int = 20
) -> Sequence[Grid | Scatter | DensityMap]:
    """Every picture that the model is capable of; of points, scatter and density alone.

    Args:
        evidence: The model and the data.
        inversion: The search to show; None: not shown.
        count: Real images shown, ten in a row.
    """
    model = evidence.model
    if are_points(evidence.real.images):
        return scatters(evidence)
    images = evidence.real.images[:count]
    grids: list[Grid] = []
    what = f"Odd rows: {evidence.split} images. Below each:"
    if isinstance(model, Samples):
        with undisturbed(model, evidence.seed), suppress(UsageError):  # the values say why
            grids.append(sample_grid(model, evidence.device, evidence.seed))
            grids.append(neighbours(evidence, count))
    with undisturbed(model, evidence.seed):
        real = torch.cat(list(evidence.batches(images)))
        if isinstance(model, Reconstructs):
            made = model.reconstruct(real)
            how = f"{what} what encoder and decoder give back."
            grids.append(pairs("reconstructions", "Reconstructions", how, real, made, 10))
        if isinstance(model, Decodes) and inversion is not None:
            with suppress(UsageError):
                found, _ = inversion.search(evidence, images)
                how = f"{what} the best that a search of the latent space found."
                grids.append(pairs("inversions", "Reconstruction by search", how, real, found, 10))
        if isinstance(model, Decodes):
            grids.append(interpolation(model, evidence))
    return grids


def scatters(evidence: Evidence) -> list[Scatter | DensityMap]:
    """The pictures of points: none where the model cannot sample, or has diverged."""
    model, real, seed = evidence.model, evidence.real.images, evidence.seed
    made: list[Scatter | DensityMap] = []
    if isinstance(model, Samples):
        with suppress(UsageError):  # the values say why
            made.append(sample_scatter(model, real, evidence.device, seed))
    with undisturbed(model, seed), suppress(UsageError):
        density = density_map(evidence)
        made += [] if density is None else [density]
    return made
