"""What images cost in nats: by the model's own bound, and by the same probe for every decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gen_models.capabilities import BoundsLikelihood, Decodes, ElboTerms
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.measurement import (
    OVER_IMAGES,
    Measurement,
    blank,
    filled,
    mean_filled,
    standard_error,
)
from gen_models.evaluation.measurements.reconstructions import error_blanks, error_values
from gen_models.evaluation.probe import noise_for
from gen_models.records import Value

ASPECT = "likelihood"


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
        titles = "Evidence lower bound", "Distortion E[-log p(x|z)]", "Rate KL(q(z|x) || p(z))"
        names = (f"{term}_nats_{split}" for term in ("elbo", "distortion", "rate"))
        return term_blanks(names, titles, count, protocol)

    def measure(self, evidence: Evidence) -> list[Value]:
        """Means over all real images."""
        return term_values(self.blanks(evidence), evidence, evidence.model.elbo_terms)


@dataclass(frozen=True)
class ProbeTerms(Measurement):
    """Distortion, rate and bound of the probe encoder, and the errors of its reconstructions.

    One definition of reconstruction error and KL for decoders with and without an encoder of their
    own. Distortion and rate are read as a pair: either can be had at the price of the other.
    """

    requires: ClassVar[type] = Decodes

    def missing(self, evidence: Evidence) -> str | None:
        """Why the measurement does not apply; None if it does."""
        if evidence.probe is None:
            return "no probe encoder is trained for the decoder (evaluation.probe is null)"
        return super().missing(evidence)

    def blanks(self, evidence: Evidence) -> list[Value]:
        """Bound, distortion, rate, three errors and the deviation of the noise."""
        count, split = len(evidence.real.images), evidence.split
        how = "" if evidence.probe is None else f"; {evidence.probe.protocol}"
        protocol = f"all {count} {split} images{how}"
        titles = (
            "Probe bound on log p(x)",
            "Probe distortion E[-log p(x|z)]",
            "Probe rate KL(q(z|x) || p(z))",
        )
        names = (f"probe_{term}_nats_{split}" for term in ("bound", "distortion", "rate"))
        terms = term_blanks(names, titles, count, protocol)
        held = len(evidence.validation.images)
        deviation = blank(
            "probe_deviation_validation",
            "Probe observation noise",
            "pixels in [0, 1], standard deviation",
            None,
            held,
            f"all {held} validation images{how}",
            ASPECT,
        )
        errors = error_blanks("probe", "Probe reconstruction", split, count, protocol)
        return [*terms, *errors, deviation]

    def measure(self, evidence: Evidence) -> list[Value]:
        """Means over all real images; the fitted deviation over the validation images."""
        probe, encoder = evidence.probe, evidence.encoder
        generator = evidence.generator()

        def terms(pixels: Tensor) -> ElboTerms:
            noise = noise_for(encoder.posterior(pixels), probe.draws, generator)
            return encoder.terms(pixels, noise)

        images = evidence.real.images
        *empties, deviation = self.blanks(evidence)
        nats = term_values(empties[:3], evidence, terms)
        errors = error_values(empties[3:], encoder.reconstruct, evidence, images)
        noise = encoder.variance**0.5
        # The delta method: the variance is a mean over images, the deviation its root.
        spread = standard_error(probe.errors(encoder.encoder, evidence))
        error = None if spread is None else spread / (2 * noise)
        return [*nats, *errors, filled(deviation, noise, error, OVER_IMAGES, (0.0, 1.0))]


def term_blanks(
    names: Iterable[str], titles: Iterable[str], count: int, protocol: str
) -> list[Value]:
    """Bound, distortion and rate, in this order, still empty."""
    rows = zip(names, titles, ("higher", "lower", None), strict=True)
    unit = "nats per image"
    return [blank(name, t, unit, better, count, protocol, ASPECT) for name, t, better in rows]


def term_values(
    empties: list[Value], evidence: Evidence, terms: Callable[[Tensor], ElboTerms]
) -> list[Value]:
    """The three of `term_blanks`, as means over all real images.

    Args:
        empties: The blanks.
        evidence: Gives the images.
        terms: Maps pixels (B, C, H, W) to the terms of the bound.
    """

    def columns(pixels: Tensor) -> Tensor:
        return torch.stack(tuple(terms(pixels)), dim=1)

    log_likelihood, rate = evidence.each(evidence.real.images, columns).unbind(1)
    means = log_likelihood - rate, -log_likelihood, rate
    return [mean_filled(*pair) for pair in zip(empties, means, strict=True)]
