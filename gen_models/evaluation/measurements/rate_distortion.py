"""What a decoder costs in nats and in pixels, read by the same probe encoder for every model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gen_models.capabilities import Decodes
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
        rows = [
            (f"probe_bound_nats_{split}", "Probe bound on log p(x)", "higher"),
            (f"probe_distortion_nats_{split}", "Probe distortion E[-log p(x|z)]", "lower"),
            (f"probe_rate_nats_{split}", "Probe rate KL(q(z|x) || p(z))", None),
        ]
        nats, aspect = "nats per image", "likelihood"
        terms = [blank(n, t, nats, b, count, protocol, aspect) for n, t, b in rows]
        held = len(evidence.validation.images)
        deviation = blank(
            "probe_deviation_validation",
            "Probe observation noise",
            "pixels in [0, 1], standard deviation",
            None,
            held,
            f"all {held} validation images{how}",
            aspect,
        )
        errors = error_blanks("probe", "Probe reconstruction", split, count, protocol)
        return [*terms, *errors, deviation]

    def measure(self, evidence: Evidence) -> list[Value]:
        """Means over all real images; the fitted deviation over the validation images."""
        probe, encoder = evidence.probe, evidence.encoder
        generator = evidence.generator()

        def terms(pixels: Tensor) -> Tensor:
            noise = noise_for(encoder.posterior(pixels), probe.draws, generator)
            return torch.stack(tuple(encoder.terms(pixels, noise)), dim=1)

        images = evidence.real.images
        log_likelihood, rate = evidence.each(images, terms).unbind(1)
        *empties, deviation = self.blanks(evidence)
        columns = log_likelihood - rate, -log_likelihood, rate
        nats = [mean_filled(*pair) for pair in zip(empties[:3], columns, strict=True)]
        errors = error_values(empties[3:], encoder.reconstruct, evidence, images)
        noise = encoder.variance**0.5
        # The delta method: the variance is a mean over images, the deviation its root.
        spread = standard_error(probe.errors(encoder.encoder, evidence))
        error = None if spread is None else spread / (2 * noise)
        return [*nats, *errors, filled(deviation, noise, error, OVER_IMAGES, (0.0, 1.0))]
