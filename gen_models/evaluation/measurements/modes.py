"""Mode coverage where the modes are known: a mixture's own, and the triples of stacked MNIST."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from gen_models.capabilities import Samples
from gen_models.errors import UsageError
from gen_models.evaluation.comparison import Comparison
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.extractors.stacked import StackedClassifier
from gen_models.evaluation.measurements.instrument import Instrument, Row
from gen_models.evaluation.measurements.measurement import Measurement, blank, filled
from gen_models.evaluation.statistics.classes import (
    chance_level,
    class_coverage,
    histogram_divergence,
)
from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.evaluation.statistics.modes import (
    Found,
    Mixture,
    deviation_ratio,
    high_quality,
    mode_divergence,
    modes_covered,
)
from gen_models.evaluation.view import View
from gen_models.records import Anchor, Value

OVER_SAMPLES = "95 %, normal, over samples"


class Score(NamedTuple):
    """One number of samples beside a mixture, at `most`; `how` ends its protocol."""

    key: str
    title: str
    unit: str
    better: str | None
    aspect: str
    function: Callable[[Found], Estimate]
    how: str = ""
    most: Callable[[Mixture], float] = lambda mixture: math.inf


SCORES = (
    Score(
        "modes_covered",
        "Modes covered",
        "modes with a sample of high quality",
        "higher",
        "diversity",
        modes_covered,
        most=lambda mixture: len(mixture.weights),
    ),
    Score(
        "high_quality",
        "Samples of high quality",
        "share of samples",
        "higher",
        "fidelity",
        high_quality,
        most=lambda mixture: 1.0,
    ),
    Score(
        "mode_kl_nats",
        "KL of modes, samples || data",
        "nats, bias not removed",
        "lower",
        "diversity",
        mode_divergence,
        "; these alone are counted",
    ),
    Score(
        "mode_deviation",
        "Deviation within modes",
        "true deviations; 1 at best",
        None,
        "diversity",
        deviation_ratio,
        "; of these, around the true centres, corrected for the cut",
    ),
)


@dataclass(frozen=True)
class MixtureModes(Measurement):
    """Modes, quality, evenness and width on points of a known mixture; says nothing of other data.

    The published protocol has 2,500 samples. The floor is what a perfect sampler is expected to
    score with as many.
    """

    requires: ClassVar[type] = Samples

    def blanks(self, evidence: Evidence) -> list[Value]:
        """Four values; none where the data are no mixture of independent Gaussians."""
        if Mixture.of(evidence.density) is None:
            return []
        count = evidence.samples
        how = (
            f"{count} samples ({evidence.precision}), of high quality within 3 deviations of the "
            "nearest mode, Mahalanobis"
        )
        return [
            blank(f"{s.key}_{count}", s.title, s.unit, s.better, count, f"{how}{s.how}", s.aspect)
            for s in SCORES
        ]

    def measure(self, evidence: Evidence) -> list[Value]:
        """The values; what a statistic refuses says why."""
        mixture = Mixture.of(evidence.density)
        if mixture is None:
            return []
        found = Found.of(evidence.drawn.images, mixture)
        noise = Found.of(evidence.stand_in("noise"), mixture)
        ends = zip(best(mixture, evidence.samples), worst(mixture, noise), strict=True)
        values = []
        for score, empty, (floor, ceiling) in zip(SCORES, self.blanks(evidence), ends, strict=True):
            try:
                value, error = score.function(found)
            except UsageError as reason:
                values.append(replace(empty, reason=str(reason)))
                continue
            made = filled(empty, value, error, OVER_SAMPLES, (0, score.most(mixture)))
            values.append(replace(made, floor=floor, ceiling=ceiling))
        return values


def best(mixture: Mixture, count: int) -> list[Anchor]:
    """What N perfect samples are expected to score; the divergence to order 1/N."""
    quality, weights = mixture.quality, mixture.weights
    modes = (1 - (1 - quality * weights) ** count).sum().item()
    divergence = (len(weights) - 1) / (2 * quality * count)
    of = f"{count} perfect samples, expected"
    return [Anchor(value, of) for value in (modes, quality, divergence, 1.0)]


def worst(mixture: Mixture, noise: Found) -> list[Anchor | None]:
    """What is scored where all is lost; a width has no such end."""
    return [
        Anchor(1.0, "one mode alone"),
        Anchor(high_quality(noise).value, "uniform noise"),
        Anchor(-mixture.weights.log().min().item(), "the rarest mode alone"),
        None,
    ]


@dataclass(frozen=True)
class StackedModes(Instrument):
    """Modes of stacked MNIST by the shipped classifier of each channel; nothing of other data.

    The published protocol has 26,000 samples, one in a class to count it, and the divergence from
    uniform classes. Real triples are read by the same classifier: what lies between them and the
    level of chance is the digits' unequal shares and the classifier's own errors.
    """

    others = ()

    def views(self, evidence: Evidence) -> Sequence[View]:
        """Classifiers of stacked channels."""
        return [v for v in evidence.views if isinstance(v.extractor, StackedClassifier)]

    def how(self, evidence: Evidence) -> str:
        """The classes."""
        return "; classes c1 + 10 c2 + 100 c3, against uniform ones"

    def rows(self) -> Sequence[Row]:
        """Coverage and divergence."""
        row = partial(Row, aspect="diversity")
        return [
            row("modes", "Modes covered", "of 1000", "higher", function=covered, bounds=(0, 1000)),
            row(
                "mode_kl_nats",
                "KL of modes, samples || uniform",
                "nats, bias not removed",
                "lower",
                function=from_uniform,
                bounds=(0, math.inf),
            ),
        ]

    def seen(self, view: View, evidence: Evidence) -> list[Value]:
        """The rows, with the level of chance."""
        level = chance_level(1000, evidence.samples)
        of = f"{evidence.samples} uniform labels, expected"
        return [
            value if value.value is None else replace(value, anchors=(Anchor(chance, of),))
            for value, chance in zip(
                super().seen(view, evidence), (level.coverage, level.divergence), strict=True
            )
        ]


def uniform(classes: int) -> Tensor:
    """Equal shares (K,), float64."""
    return torch.full((classes,), 1 / classes, dtype=torch.float64)


def covered(comparison: Comparison) -> Estimate:
    """Classes with a sample, one or more."""
    logits = comparison.logits
    return class_coverage(real=uniform(logits.shape[1]), fake=logits, share=1e-9)


def from_uniform(comparison: Comparison) -> Estimate:
    """KL of the samples' classes to equal shares, nats."""
    logits = comparison.logits
    counts = torch.bincount(logits.argmax(1).cpu(), minlength=logits.shape[1]).double()
    return histogram_divergence(counts, uniform(logits.shape[1]))
