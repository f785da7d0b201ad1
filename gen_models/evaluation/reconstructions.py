"""Measurements of single images: how well a model gives them back, and what it costs in nats."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from gen_models.capabilities import BoundsLikelihood, Decodes, Reconstructs
from gen_models.errors import UsageError
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.inversion import invert
from gen_models.evaluation.measurement import Measurement, blank, filled, mean_filled
from gen_models.records import Anchor, Value


@dataclass(frozen=True)
class Reconstruction(Measurement):
    """Squared error of one pass through encoder and decoder (amortised reconstruction)."""

    requires: ClassVar[type] = Reconstructs

    def blanks(self, evidence: Evidence) -> list[Value]:
        """Mean squared error and peak signal-to-noise ratio."""
        count = len(evidence.real.images)
        protocol = f"all {count} {evidence.split} images, encoded and decoded at the posterior mean"
        return _error_blanks("reconstruction", "Reconstruction", evidence.split, count, protocol)

    def measure(self, evidence: Evidence) -> list[Value]:
        """The error over all real images; the mean training image is the ceiling."""
        errors = evidence.each(
            evidence.real.images, lambda x: squared_error(evidence.model.reconstruct(x), x)
        )
        return error_values(self.blanks(evidence), errors, evidence, evidence.real.images)


@dataclass(frozen=True)
class Inversion(Measurement):
    """Squared error of reconstruction by latent optimisation, the same search for every model.

    Attributes:
        images: Real images that are searched for, the first of the split.
        steps: Steps of Adam.
        restarts: Starting points an image, drawn from the prior.
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
        """Mean squared error, peak signal-to-noise ratio, squared norm of the latents."""
        count = min(self.images, len(evidence.real.images))
        protocol = (
            f"first {count} {evidence.split} images, best latent of {self.restarts} starts and "
            f"{self.steps} steps of Adam at {self.rate}"
        )
        values = _error_blanks("inversion", "Inversion", evidence.split, count, protocol)
        name = f"inversion_latent_square_{evidence.split}_{count}"
        unit = "|z|² per latent (1 under the prior)"
        return [*values, blank(name, "Inversion latents", unit, None, count, protocol)]

    def measure(self, evidence: Evidence) -> list[Value]:
        """The error of the best latents found."""
        target = evidence.real.images[: self.images]
        found, latents = self.search(evidence, target)
        pixels = torch.cat(list(evidence.batches(target)))
        errors = squared_error(found, pixels).double().cpu()
        *empties, norm = self.blanks(evidence)
        squares = latents.double().square().mean(1).cpu()
        return [*error_values(empties, errors, evidence, target), mean_filled(norm, squares)]

    def search(self, evidence: Evidence, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (N, C, H, W) of the best reconstructions of bytes, and their latents (N, D)."""
        pixels = torch.cat(list(evidence.batches(images)))
        arguments = self.steps, self.restarts, self.rate, evidence.generator()
        return invert(evidence.model, pixels, *arguments)


@dataclass(frozen=True)
class EvidenceLowerBound(Measurement):
    """The bound on log p(x) and its two terms, at beta = 1."""

    requires: ClassVar[type] = BoundsLikelihood

    def blanks(self, evidence: Evidence) -> list[Value]:
        """Bound, distortion and rate."""
        count, split = len(evidence.real.images), evidence.split
        kind = getattr(evidence.model, "likelihood", None)
        of = f"{type(kind).__name__} likelihood" if kind is not None else "the model's likelihood"
        protocol = f"all {count} {split} images, one draw of z each, {of} of pixels in [0, 1]"
        rows = [
            (f"elbo_nats_{split}", "Evidence lower bound", "higher"),
            (f"distortion_nats_{split}", "Distortion E[-log p(x|z)]", "lower"),
            (f"rate_nats_{split}", "Rate KL(q(z|x) || p(z))", None),
        ]
        return [blank(n, t, "nats per image", b, count, protocol) for n, t, b in rows]

    def measure(self, evidence: Evidence) -> list[Value]:
        """Means over all real images."""

        def terms(pixels: Tensor) -> Tensor:
            return torch.stack(tuple(evidence.model.elbo_terms(pixels)), dim=1)

        log_likelihood, rate = evidence.each(evidence.real.images, terms).unbind(1)
        columns = log_likelihood - rate, -log_likelihood, rate
        return [mean_filled(*pair) for pair in zip(self.blanks(evidence), columns, strict=True)]


def squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean over the pixels of each image, (B,)."""
    return (a - b).square().mean((1, 2, 3))


def decibels(mse: float) -> float:
    """Peak signal-to-noise ratio of a mean squared error of pixels in [0, 1]."""
    return -10 * math.log10(max(mse, 1e-12))


def _error_blanks(name: str, title: str, split: str, count: int, protocol: str) -> list[Value]:
    unit = "squared pixels in [0, 1]"
    return [
        blank(f"{name}_mse_{split}_{count}", f"{title} error", unit, "lower", count, protocol),
        blank(f"{name}_psnr_{split}_{count}", f"{title} PSNR", "dB", "higher", count, protocol),
    ]


def error_values(
    empties: list[Value], errors: Tensor, evidence: Evidence, images: Tensor
) -> list[Value]:
    """Mean squared error and PSNR of errors (N,), with the mean training image as ceiling."""
    mse, psnr = empties
    result = mean_filled(mse, errors)
    result = replace(result, low=None if result.low is None else max(0.0, result.low))
    worst = evidence.each(images, lambda x: squared_error(evidence.mean_image, x)).mean().item()
    noise = filled(psnr, decibels(errors.mean().item()), None, "")
    if result.low is not None and result.high is not None:
        low, high = decibels(result.high), decibels(result.low)
        noise = replace(noise, low=low, high=high, interval=result.interval)
    of = "the mean training image"
    return [
        replace(result, floor=Anchor(0.0, "the image itself"), ceiling=Anchor(worst, of)),
        replace(noise, ceiling=Anchor(decibels(worst), of)),
    ]
