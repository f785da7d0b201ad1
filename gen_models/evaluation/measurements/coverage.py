"""Instruments of fidelity and diversity: are the samples real, and is all that is real there?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.comparison import NEIGHBOURS, Comparison
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.instrument import Instrument, Row
from gen_models.evaluation.statistics.classes import (
    class_coverage,
    class_divergence,
    classifier_score,
    confident_share,
)
from gen_models.evaluation.statistics.curves import f_scores, precision_recall_curve
from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.evaluation.statistics.neighbours import coverage, density, precision, recall
from gen_models.evaluation.view import View

SHARE = (0.0, 1.0)


@dataclass(frozen=True)
class Neighbourhoods(Instrument):
    """Precision and recall, density and coverage: who lies in whose neighbourhood.

    Attributes:
        k: Neighbours of precision and recall (Kynkäänniemi et al., 2019).
        k_density: Neighbours of density and coverage (Naeem et al., 2020).
    """

    k: int = 3
    k_density: int = 5

    def __post_init__(self) -> None:
        if not (1 <= self.k <= NEIGHBOURS and 1 <= self.k_density <= NEIGHBOURS):
            raise UsageError(
                f"neighbourhoods: k={self.k} and k_density={self.k_density} must lie in "
                f"1..{NEIGHBOURS}"
            )

    def rows(self) -> Sequence[Row]:
        """Four."""
        k, dense = self.k, self.k_density
        jackknife = "95 %, 20-block jackknife, over samples"
        of_samples = partial(Row, unit="share of samples", better="higher", aspect="fidelity")
        of_real = partial(
            Row,
            unit="share of real images",
            better="higher",
            aspect="diversity",
            interval=jackknife,
            bounds=SHARE,
        )
        return [
            of_samples(
                f"precision_k{k}",
                f"Precision (k = {k})",
                function=lambda c: precision(c.pairs, k),
                bounds=SHARE,
            ),
            of_samples(
                f"density_k{dense}",
                f"Density (k = {dense})",
                unit="1 for equal distributions",
                function=lambda c: density(c.pairs, dense),
                bounds=(0.0, math.inf),
            ),
            of_real(f"recall_k{k}", f"Recall (k = {k})", function=lambda c: recall(c.pairs, k)),
            of_real(
                f"coverage_k{dense}",
                f"Coverage (k = {dense})",
                function=lambda c: coverage(c.pairs, dense),
            ),
        ]


@dataclass(frozen=True)
class PrecisionRecallCurve(Instrument):
    """F scores of the curve between precision and recall of distributions (Sajjadi et al., 2018).

    Attributes:
        seed: Of the clustering.
    """

    seed: int = 0

    def how(self, evidence: Evidence) -> str:
        """The clustering."""
        return f"; clusters by seed {self.seed}"

    def rows(self) -> Sequence[Row]:
        """F with recall, and with precision, counted eight times."""
        unit = "share, by 20 clusters"
        return [
            Row("prd_f8", "F8, mostly recall", unit, "higher", "diversity", self.of(0)),
            Row("prd_f1_8", "F1/8, mostly precision", unit, "higher", "fidelity", self.of(1)),
        ]

    def of(self, index: int) -> Callable[[Comparison], Estimate]:
        """One of the two scores."""
        return lambda comparison: Estimate(self.scores(comparison)[index])

    def scores(self, comparison: Comparison) -> tuple[float, float]:
        """Both, of one clustering."""
        return comparison.once(
            self,
            lambda: f_scores(
                precision_recall_curve(
                    real=comparison.real.features, fake=comparison.fake.features, seed=self.seed
                )
            ),
        )


@dataclass(frozen=True)
class Classes(Instrument):
    """What a classifier of the data's own classes says of the samples.

    Attributes:
        share: Of the samples that a class should have, to count as covered.
        confidence: Probability from which on an answer counts as sure.
    """

    share: float = 0.01
    confidence: float = 0.9
    others = ()

    def missing(self, evidence: Evidence) -> str | None:
        """Also needs labels, and a classifier of them."""
        if evidence.real.labels is None or not any(e.classes for e in evidence.extractors):
            names = " and ".join(extractor.name for extractor in evidence.extractors)
            return f"there are no labels, or no classifier of them ({names})"
        return super().missing(evidence)

    def views(self, evidence: Evidence) -> Sequence[View]:
        """Classifiers; where there is none, the first extractor, which says so."""
        return [v for v in evidence.views if v.extractor.classes] or evidence.views[:1]

    def how(self, evidence: Evidence) -> str:
        """The settings."""
        return f"; a class is covered with {self.share:g} of its samples"

    def rows(self) -> Sequence[Row]:
        """Divergence, coverage, score, confidence."""
        return [
            Row(
                "class_kl_nats",
                "KL of class histograms, bias removed",
                "nats",
                "lower",
                "diversity",
                lambda c: class_divergence(real=labels(c), fake=c.logits),
            ),
            Row(
                "class_coverage",
                "Classes covered",
                "classes",
                "higher",
                "diversity",
                lambda c: class_coverage(real=labels(c), fake=c.logits, share=self.share),
                bounds=(0, math.inf),
            ),
            Row(
                "classifier_score",
                "Classifier score",
                "1 to the number of classes",
                "higher",
                "fidelity",
                lambda c: classifier_score(c.logits),
                bounds=(1, math.inf),
            ),
            Row(
                f"confident_{self.confidence:g}",
                f"Samples named with probability {self.confidence:g} or more",
                "share of samples",
                "higher",
                "fidelity",
                lambda c: confident_share(c.logits, self.confidence),
                bounds=SHARE,
            ),
        ]


def labels(comparison: Comparison) -> Tensor:
    """Classes of the real images."""
    assert comparison.labels is not None
    return comparison.labels
