"""Pictures of what a model makes, at fixed draws, so that models can be set side by side."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gen_models.capabilities import Decodes, Reconstructs, Samples
from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation.contract import as_bytes
from gen_models.evaluation.density_map import DensityMap, density_map
from gen_models.evaluation.evaluate import undisturbed
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.grid import Grid, listed, rounded, strips
from gen_models.evaluation.measurements.reconstructions import Inversion
from gen_models.evaluation.scatter import Scatter, are_points, sample_scatter
from gen_models.evaluation.statistics.memorisation import nearest_training
from gen_models.evaluation.statistics.similarity import squared_error

IN_A_ROW = 10
"""Images side by side in every picture but that of samples."""

HELD_OUT = 500
"""Real images, at most, whose mean distance to training images is the unit of a sample's."""


def gallery(
    evidence: Evidence, inversion: Inversion | None
) -> Sequence[Grid | Scatter | DensityMap]:
    """Every picture that the model is capable of; of points, scatter and density alone.

    Args:
        evidence: The model and the data.
        inversion: The search to show; None: not shown.
    """
    if are_points(evidence.real.images):
        return scatters(evidence)
    search = partial(reconstructions, inversion=inversion)
    wanted: list[tuple[type, Callable[[Evidence], Grid]]] = [
        (Samples, samples),
        (object, search),
        (Samples, extremes),
        (Samples, neighbours),
        (Decodes, interpolation),
    ]
    made = [tried(make, evidence) for kind, make in wanted if isinstance(evidence.model, kind)]
    return [grid for grid in made if grid is not None]


@torch.no_grad()
def tried(make: Callable[[Evidence], Grid], evidence: Evidence) -> Grid | None:
    """The picture, drawn from the seed; None where it fails, which costs nothing else."""
    try:
        with undisturbed(evidence.model, evidence.seed):
            return make(evidence)
    except UsageError:  # the values say why
        return None
    except Exception as error:  # a defect, of ours or of a user's part: the values are not lost
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        warnings.warn(f"a picture failed: {told}", stacklevel=2)
        return None


def samples(evidence: Evidence) -> Grid:
    """The first samples of the seed."""
    return sample_grid(evidence.model, evidence.device, evidence.seed)


@torch.no_grad()
def sample_grid(model: Any, device: torch.device, seed: int, count: int = 64) -> Grid:
    """Samples at the first draws of the seed, and whether other models share these draws."""
    generator = torch.Generator(device).manual_seed(seed)
    with undisturbed(model, seed):
        drawn = as_bytes(model.sample(count, generator)).images
        latents = shared_latents(model, drawn, device, seed)
    draws = (
        "At draws of the model's own: the tiles of other models are at other ones."
        if latents is None
        else f"Tile by tile at the same latents for every model with {latents} of them: the first "
        f"draws of N(0, I) on the {device.type}."
    )
    caption = f"{count} samples in the order they were drawn, none left out (seed {seed}). {draws}"
    return Grid("samples", "Samples", caption, to_pixels(drawn), 8 if count <= 64 else 16)


def shared_latents(model: Any, drawn: Tensor, device: torch.device, seed: int) -> int | None:
    """How many latents a sample has, if it is what plain draws of N(0, I) decode to.

    Looked at, and not taken on trust: a prior, noise or classes of a model's own move its draws.

    Args:
        model: In evaluation mode.
        drawn: (N, C, H, W), bytes, its first samples of the seed.
        device: Where the model is.
        seed: Of the samples.

    Returns:
        D; None where the samples are not at the latents that any model of D latents would show.
    """
    if not isinstance(model, Decodes):
        return None
    generators = (torch.Generator(device).manual_seed(seed) for _ in range(2))
    z = model.sample_prior(len(drawn), next(generators))
    plain = torch.randn(z.shape, generator=next(generators), device=device)
    if not torch.equal(z, plain.to(z)):
        return None
    again, drawn = as_bytes(model.decode(z)).images.cpu(), drawn.cpu()
    # Another batch may round the other way, by one level.
    same = again.shape == drawn.shape and bool((again.int() - drawn.int()).abs().max() <= 1)
    return z.shape[1] if same else None


def sample_picture(model: Any, real: Tensor, device: torch.device, seed: int) -> Grid | Scatter:
    """Samples at the first draws of the seed: a grid, or a scatter where the data are points."""
    if are_points(real):
        return sample_scatter(model, real, device, seed)
    return sample_grid(model, device, seed)


def reconstructions(evidence: Evidence, inversion: Inversion | None) -> Grid:
    """The first real images above what becomes of them by encoder and by latent search.

    A row of what a model does not have is left grey, so that the rows of all models line up.

    Raises:
        UsageError: If the model has neither.
    """
    model, split = evidence.model, evidence.split
    count = IN_A_ROW if inversion is None else min(IN_A_ROW, inversion.images)
    real = torch.cat(list(evidence.batches(evidence.real.images[:count])))
    rows = [(f"original: the first {len(real)} {split} images", real)]

    made: dict[str, Tensor | None] = {"encoder": None}
    if isinstance(model, Reconstructs):
        made["encoder"] = model.reconstruct(real)
    if inversion is not None:
        made["latent search"] = None
        with suppress(UsageError):  # the values say why
            if isinstance(model, Decodes):
                made["latent search"] = inversion.found(evidence).pixels[:count]
    if not any(images is not None for images in made.values()):
        raise UsageError("the model neither encodes nor decodes")
    for how, images in made.items():
        if images is None:
            rows.append((f"{how}: none", torch.full_like(real, 0.5)))
            continue
        errors = squared_error(images, real)
        told = f"mean squared error {rounded(errors.mean().item())}, of each {listed(errors)}"
        rows.append((f"{how}: {told}", images))
    caption = (
        f"The same {split} images for every model. Encoder: one pass through the model's own "
        "encoder, where it has one, and its decoder. Latent search: the latents that decode to the "
        "image best, sought by gradient descent."
    )
    return strips("reconstructions", "Reconstructions", caption, rows)


def extremes(evidence: Evidence) -> Grid:
    """Of all samples, those farthest from every real image and those nearest to one.

    The distance is Euclidean, in features of the first extractor, as in precision and coverage.
    """
    view, split = evidence.views[0], evidence.split
    # The search knows nothing of training: it takes the images of the split in their place.
    distances, _ = nearest_training(train=view.real.features, fake=view.samples.fake.features)
    order = distances.cpu().argsort(stable=True)
    best, worst = order[:IN_A_ROW], order.flip(0)[:IN_A_ROW]

    def row(what: str, chosen: Tensor) -> tuple[str, Tensor]:
        ends = distances.cpu()[chosen[[0, -1]]].tolist()
        told = f"{what}: distances {rounded(ends[0], 3)} to {rounded(ends[1], 3)}"
        return told, to_pixels(evidence.drawn.images[chosen])

    rows = [
        row(f"worst, the farthest from every {split} image", worst),
        row(f"best, the nearest to one {split} image", best),
    ]
    caption = (
        f"Of {len(order)} samples, by the distance to the nearest {split} image. This is the view "
        f"of {view.extractor.name} alone: what is rare lies far away as well as what is wrong, and "
        "what is plain lies near as well as what is good."
    )
    return strips("extremes", "Worst and best samples", caption, rows)


def neighbours(evidence: Evidence) -> Grid:
    """Samples, each above the training image that is nearest by the first extractor."""
    view, split = evidence.views[0], evidence.split
    fake = view.samples.fake.first(IN_A_ROW).features
    held_out = view.real.first(HELD_OUT).features
    distances, indices = nearest_training(
        train=view.train.features, fake=torch.cat([fake, held_out])
    )
    unit = distances[len(fake) :].mean()
    nearest = evidence.train.images[indices[: len(fake)].cpu()]
    rows = [
        (f"the first {len(fake)} samples", to_pixels(evidence.drawn.images[: len(fake)])),
        (
            f"the nearest training images: distances {listed(distances[: len(fake)] / unit)}",
            to_pixels(nearest.cpu()),
        ),
    ]
    caption = (
        f"Nearest by {view.extractor.name}. The unit of distance is the mean of "
        f"{len(held_out)} {split} images to their nearest training images: 0 is a copy, and 1 as "
        "new as an image that the model has not seen."
    )
    return strips("neighbours", "Nearest training images", caption, rows)


def interpolation(evidence: Evidence, rows: int = 6) -> Grid:
    r"""Decoded points of great circles between prior draws (spherical interpolation; White, 2016).

    $z_t = \frac{\sin((1-t)\omega)}{\sin\omega} z_0 + \frac{\sin(t\omega)}{\sin\omega} z_1$ keeps to
    the norms that the prior has; a straight line would pass near the origin, where it has no mass.
    """
    model = evidence.model
    start, end = model.sample_prior(2 * rows, evidence.generator()).split(rows)
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=1).clamp(-0.999, 0.999)
    angle = cosine.acos()[:, None, None]
    t = torch.linspace(0, 1, IN_A_ROW, device=start.device)[None, :, None]
    left, right = torch.sin((1 - t) * angle), torch.sin(t * angle)
    z = (left * start[:, None] + right * end[:, None]) / torch.sin(angle)
    caption = "Each row: from one draw of the prior to another, along the sphere."
    pixels = model.decode(z.flatten(0, 1))
    return Grid("interpolation", "Interpolation", caption, pixels, IN_A_ROW)


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
