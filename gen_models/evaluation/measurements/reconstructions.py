"""How well a model gives single images back."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from gen_models.capabilities import Decodes, Reconstructs
from gen_models.errors import UsageError
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.inversion import invert
from gen_models.evaluation.likelihood.numerics import double
from gen_models.evaluation.measurements.measurement import (
    OVER_IMAGES,
    Measurement,
    blank,
    filled,
    mean_filled,
    standard_error,
)
from gen_models.evaluation.statistics.similarity import squared_error, structural_similarity
from gen_models.records import Anchor, Value

ASPECT = "reconstruction"


@dataclass(frozen=True)
class Reconstruction(Measurement):
    """Error of one pass through encoder and decoder (amortised reconstruction)."""

    requires: ClassVar[type] = Reconstructs

    def blanks(self, evidence: Evidence) -> list[Value]:
        """Mean squared error, peak signal-to-noise ratio, structural similarity."""
        count, split = len(evidence.real.images), evidence.split
        protocol = f"all {count} {split} images, encoded and decoded at the posterior mean"
        return error_blanks("reconstruction", "Reconstruction", f"{split}_{count}", count, protocol)

    def measure(self, evidence: Evidence) -> list[Value]:
        """The errors over all real images; the mean training image is the ceiling."""
        images, reconstruct = evidence.real.images, evidence.model.reconstruct
        return error_values(self.blanks(evidence), reconstruct, evidence, images)


class Found(NamedTuple):
    """What a search ended in.

    Attributes:
        pixels: (N, C, H, W), the best reconstructions.
        latents: (N, D), theirs.
        guided: Whether it started at the probe's guess too.
    """

    pixels: Tensor
    latents: Tensor
    guided: bool


@dataclass(frozen=True)
class Inversion(Measurement):
    """Error of reconstruction by latent optimisation, the same search for every model.

    Attributes:
        images: Real images that are searched for, the first of the split.
        steps: Steps of Adam.
        restarts: Starting points an image, drawn from the prior; the probe's guess, where a probe
            can be had, is one more: a prior that is discrete in part has none.
        rate: Adam's first learning rate.
    """

    images: int = 64
    steps: int = 200
    restarts: int = 4
    rate: float = 0.1
    requires: ClassVar[type] = Decodes

    def __post_init__(self) -> None:
        for name in ("images", "steps", "restarts"):
            if getattr(self, name) < 1:
                raise UsageError(f"inversion.{name} must be 1 or more, not {getattr(self, name)}")

    def blanks(self, evidence: Evidence) -> list[Value]:
        """The three errors, and the squared norm of the latents."""
        return self._blanks(evidence, guided=evidence.probe is not None)

    def _blanks(self, evidence: Evidence, guided: bool) -> list[Value]:
        count = min(self.images, len(evidence.real.images))
        guess = " and from the probe's posterior mean" if guided else ""
        protocol = (
            f"first {count} {evidence.split} images, best latent of {self.steps} steps of Adam at "
            f"{self.rate} from {self.restarts} draws of the prior{guess}"
        )
        ending = f"{evidence.split}_{count}"
        values = error_blanks("inversion", "Inversion", ending, count, protocol)
        name, title = f"inversion_latent_square_{ending}", "Inversion latents"
        unit = "|z|² per latent (1 under N(0, I))"
        return [*values, blank(name, title, unit, None, count, protocol, ASPECT)]

    def measure(self, evidence: Evidence) -> list[Value]:
        """The errors of the best latents found; beside them, that of learning by heart."""
        images = evidence.real.images[: self.images]
        found = self.found(evidence)
        parts = iter(found.pixels.split(evidence.batch))
        *empties, norm = self._blanks(evidence, found.guided)
        squares = found.latents.cpu().double().square().mean(1)
        mse, *others = error_values(empties, lambda _: next(parts), evidence, images)
        if mse.value is not None:
            known = Anchor(by_heart(evidence, images), "the nearest training image")
            mse = replace(mse, anchors=(known,))
        return [mse, *others, mean_filled(norm, squares)]

    def found(self, evidence: Evidence) -> Found:
        """What `search` gives of the images that are measured: once, for pictures as well."""
        images = evidence.real.images[: self.images]
        return evidence.once(self, lambda: self.search(evidence, images))

    def search(self, evidence: Evidence, images: Tensor) -> Found:
        """The best reconstructions of stored images (N, C, H, W); without a probe, from draws."""
        pixels, guess = torch.cat(list(evidence.batches(images))), None
        if evidence.probe is not None:
            with suppress(UsageError):  # the probe's own values say why it cannot be had
                guess = evidence.encoder.posterior(pixels).mean[None]
        arguments = self.steps, self.restarts, self.rate, evidence.generator(), guess
        return Found(*invert(evidence.model, pixels, *arguments), guess is not None)


def by_heart(evidence: Evidence, images: Tensor) -> float:
    """Mean squared error of the nearest training image, in pixels, to each of (N, C, H, W)."""
    wanted = double(torch.cat(list(evidence.batches(images))).flatten(1))
    least = torch.full((len(wanted),), math.inf, dtype=torch.float64, device=wanted.device)
    for pixels in evidence.batches(evidence.train.images):
        apart = torch.cdist(wanted, double(pixels.flatten(1)))
        least = torch.minimum(least, apart.min(1).values)
    return (least.square().mean() / wanted.shape[1]).item()


def error_blanks(name: str, title: str, split: str, count: int, protocol: str) -> list[Value]:
    """Mean squared error, peak signal-to-noise ratio and structural similarity, still empty.

    Args:
        name: Of the kind of reconstruction; the values are called `NAME_mse_SPLIT` and so on.
        title: What people call it.
        split: What the names end in: the split, and the count where it is not all of the split.
        count: Images.
        protocol: How they are reconstructed.
    """
    rows = [
        ("mse", "error", "squared pixels in [0, 1]", "lower", None),
        ("psnr", "PSNR", "dB", "higher", f"{title} error"),
        ("ssim", "SSIM", "structural similarity, at most 1", "higher", None),
    ]
    return [
        blank(
            f"{name}_{n}_{split}", f"{title} {t}", u, better, count, protocol, ASPECT, None, again
        )
        for n, t, u, better, again in rows
    ]


def error_values(
    empties: list[Value],
    reconstruct: Callable[[Tensor], Tensor],
    evidence: Evidence,
    images: Tensor,
) -> list[Value]:
    """The three of `error_blanks`, with the mean training image as ceiling.

    Args:
        empties: The blanks.
        reconstruct: Maps pixels (B, C, H, W) to pixels, one batch after the other.
        evidence: Gives the batches and the mean image.
        images: Bytes (N, C, H, W).
    """
    mse, psnr, ssim = empties
    # Images can be too small for SSIM's windows: said once, and its row alone goes without.
    refusal = _refusal(images)
    measures = [squared_error] if refusal else [squared_error, structural_similarity]

    def likeness(made: Callable[[Tensor], Tensor]) -> Tensor:
        def columns(pixels: Tensor) -> Tensor:
            other = made(pixels)
            return torch.stack([measure(other, pixels) for measure in measures], dim=1)

        return evidence.each(images, columns)

    each, worst = likeness(reconstruct), likeness(evidence.mean_image.expand_as)
    known = worst.mean(0).tolist()
    error = _squared(mse, each[:, 0])
    return [
        anchored(error, 0.0, known[0]),
        anchored(_decibels(psnr, error), None, decibels(known[0])),
        replace(ssim, reason=refusal)
        if refusal
        else anchored(mean_filled(ssim, each[:, 1]), 1.0, known[1]),
    ]


def anchored(value: Value, floor: float | None, ceiling: float) -> Value:
    """The value between the image itself and the mean training image."""
    best = None if floor is None else Anchor(floor, "the image itself")
    return replace(value, floor=best, ceiling=Anchor(ceiling, "the mean training image"))


def decibels(mse: float) -> float:
    """Peak signal-to-noise ratio of a mean squared error of pixels in [0, 1]."""
    return -10 * math.log10(max(mse, 1e-12))


def _squared(empty: Value, errors: Tensor) -> Value:
    error = standard_error(errors)
    return filled(empty, errors.mean().item(), error, OVER_IMAGES, bounds=(0.0, math.inf))


def _decibels(empty: Value, mse: Value) -> Value:
    """Of the mean error, and the ends of its interval; the standard error by the delta method."""
    assert mse.value is not None
    result = replace(empty, value=decibels(mse.value), reason=None)
    if mse.error is None or mse.low is None or mse.high is None:
        return result
    return replace(
        result,
        error=10 / math.log(10) * mse.error / max(mse.value, 1e-12),
        low=decibels(mse.high),
        high=decibels(mse.low),
        interval=mse.interval,
    )


def _refusal(images: Tensor) -> str | None:
    black = torch.zeros(1, *images.shape[1:])
    try:
        structural_similarity(black, black)
    except UsageError as error:
        return str(error)
    return None
