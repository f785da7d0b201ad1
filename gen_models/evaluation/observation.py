r"""What a decoder is read as, so that log p(x) means the same for all of them.

A GAN's decoder gives images and no density. With Gaussian noise around them,
$p(x \mid z) = N(x; G(z), s^2 I)$, it has one (Wu et al., 2017, section 3.1), and so has a VAE's in
the place of its own likelihood. The s is fitted to each decoder on validation images, from one grid
for all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gen_models.capabilities import Decodes, Infers, Observes, lacking
from gen_models.errors import UsageError
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.likelihood import Joint, gaussian_observation
from gen_models.evaluation.likelihood.numerics import double, seeded
from gen_models.evaluation.prior import prior_of

NOISES = tuple(10 ** (step / 10 - 3) for step in range(28))
"""Deviations to choose from, pixels: from 0.001 to 0.5, each 1.26 times the one before."""

DRAWS = 32
IMAGES = 500

DECODED = 2048
"""Images to decode at a time."""

CHOICES = ("own", "fitted_noise")


def check_observation(observation: str) -> None:
    """Refuse what is none of the choices.

    Raises:
        UsageError: If it is not.
    """
    if observation not in CHOICES:
        raise UsageError(f"observation={observation}: choices are {', '.join(CHOICES)}")


def missing_observation(observation: str, evidence: Evidence) -> str | None:
    """Why a model cannot be read so; None if it can."""
    model = evidence.model
    if observation == "own":
        able = isinstance(model, Observes) and isinstance(model, Decodes)
        return None if able else f"{type(model).__name__} has no likelihood of its own"
    if not isinstance(model, Decodes):
        return lacking(model, Decodes)
    if evidence.probe is None:
        return "the noise is fitted with the probe encoder (evaluation.probe is null)"
    return None


def joint_of(observation: str, evidence: Evidence) -> Joint:
    """p(z) p(x | z) of the model: with its own likelihood, or with the fitted noise."""
    model = evidence.model
    own = observation == "own"
    observe = model.observe if own else gaussian_observation(model.decode, evidence.noise)
    return Joint(prior_of(evidence), observe)


def encoder_of(observation: str, evidence: Evidence) -> Any:
    """Maps pixels to a q(z | x): the model's own to its own likelihood, the probe's otherwise."""
    own = observation == "own" and isinstance(evidence.model, Infers)
    return evidence.model.infer if own else evidence.encoder.posterior


def source_of(observation: str, evidence: Evidence) -> str:
    """Whose q(z | x) `encoder_of` gives, in words."""
    own = observation == "own" and isinstance(evidence.model, Infers)
    return "the model's own posterior" if own else "the probe's posterior"


def words_of(observation: str, evidence: Evidence) -> str:
    """The observation model in words, for protocols; equal for all that are comparable."""
    if observation == "own":
        kind = getattr(evidence.model, "likelihood", None)
        named = "the model's likelihood" if kind is None else f"{type(kind).__name__} likelihood"
        return f"{named} of pixels in [0, 1]"
    how = "" if evidence.probe is None else f"; {evidence.probe.protocol}"
    return (
        "Gaussian noise around decoder means, one deviation for all pixels, the one of "
        f"{len(NOISES)} ({NOISES[0]:g} to {NOISES[-1]:.3g}) that gives the first "
        f"{min(IMAGES, len(evidence.validation.images))} validation images the "
        f"highest importance weighted log p(x) of {DRAWS} draws from the probe's posterior; "
        f"densities of pixels in [0, 1], not dequantised{how}"
    )


@torch.no_grad()
def fitted_noise(
    evidence: Evidence,
    draws: int = DRAWS,
    images: int = IMAGES,
    grid: Sequence[float] = NOISES,
) -> float:
    r"""The deviation of the grid with the highest $L_K$ on validation images.

    $L_K = \frac1N \sum_n \log \frac1K \sum_k N(x_n; G(z_k), s^2 I)\, p(z_k) / q(z_k | x_n)$ with
    the probe's q. All deviations share the draws: a decoder enters through squared errors alone.

    Args:
        evidence: Whose decoder, and whose first validation images.
        draws: K.
        images: At most so many.
        grid: Deviations, > 0.

    Returns:
        s, pixels.
    """
    encoder, generator = evidence.encoder, evidence.generator()

    def squares(z: Tensor, pixels: Tensor) -> Tensor:
        made = evidence.model.decode(z.flatten(0, 1)).unflatten(0, z.shape[:2])
        return double((made - pixels).square().sum((2, 3, 4)))

    def bounds(pixels: Tensor) -> Tensor:
        posterior = encoder.posterior(pixels)
        with seeded(generator):
            z = posterior.sample((draws,))
        parts = z.split(max(1, DECODED // len(pixels)))
        errors = torch.cat([squares(part, pixels) for part in parts])
        ratio = double(encoder.prior.log_prob(z) - posterior.log_prob(z))
        noise = ratio.new_tensor(grid)
        volume = pixels[0].numel() * (noise.log() + 0.5 * math.log(2 * math.pi))
        fit = -0.5 * errors[..., None] / noise.square() - volume
        return (fit + ratio[..., None]).logsumexp(0)  # (B, grid); the 1 / K is the same for all

    totals = evidence.each(evidence.validation.images[:images], bounds).mean(0)
    return grid[int(totals.argmax())]
