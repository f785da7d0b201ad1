"""Instruments of the whole distribution: how far the samples lie from the real images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.comparison import Comparison
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.instrument import Instrument, Row
from gen_models.evaluation.rows import chosen
from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.evaluation.statistics.frechet import (
    Moments,
    frechet_distance,
    frechet_unbiased,
)
from gen_models.evaluation.statistics.kernel import kernel_distance
from gen_models.evaluation.statistics.ladder import LEVELS, corrupted, equivalent_level, off_ladder
from gen_models.evaluation.statistics.neighbours import nearest_neighbour_divergence
from gen_models.evaluation.statistics.ratio import density_ratio_divergence, reduced
from gen_models.evaluation.view import View
from gen_models.records import Value

TITLE = "Fréchet distance"
SQUARE = "squared feature units"
BY_INFLUENCE = "95 %, influence function, over samples"
OVER_LADDER = "95 %, of the Fréchet distance, over samples"


@dataclass(frozen=True)
class FrechetDistance(Instrument):
    """FID's distance on the extractor's features, in four forms.

    As it is published; with the bias of the sample count removed; as a share of the real features'
    total variance, which compares between extractors; and as the strength of a corruption of real
    images that is as far away.

    Attributes:
        ladder: The corruption: "noise" or "blur".
    """

    ladder: str = "noise"

    def __post_init__(self) -> None:
        if self.ladder not in LEVELS:
            raise UsageError(f"ladder={self.ladder}: choices are {', '.join(LEVELS)}")

    def rows(self) -> Sequence[Row]:
        """Plain, unbiased, relative."""
        distance = partial(
            Row, better="lower", aspect="distance", interval=BY_INFLUENCE, covariance=True
        )
        return [
            distance("fid", TITLE, SQUARE, function=lambda c: c.frechet),
            distance(
                "fid_unbiased",
                f"{TITLE}, bias removed",
                SQUARE,
                function=lambda c: frechet_unbiased(real=c.moments, fake=c.fake.features),
                restates=TITLE,
            ),
            distance(
                "fid_relative",
                f"{TITLE} over real variance",
                "share of tr C",
                function=relative,
                restates=TITLE,
            ),
        ]

    def blanks(self, evidence: Evidence) -> list[Value]:
        """The rows, and the level by each extractor."""
        level = self.level_row()
        return [
            empty
            for view in evidence.views
            for empty in (
                *(self.blank(row, view, evidence) for row in self.rows()),
                self.blank(level, view, evidence),
            )
        ]

    def level_row(self) -> Row:
        """The row of the corruption ladder, whose number is found from the first row's."""
        unit = {"noise": "deviation of pixels in [0, 1]", "blur": "deviation in pixels"}
        title = f"Equivalent {self.ladder} on real images"
        key = f"fid_as_{self.ladder}"
        row = Row(key, title, unit[self.ladder], "lower", "distance", lambda c: c.frechet)
        return replace(row, restates=TITLE, covariance=True)

    def seen(self, view: View, evidence: Evidence) -> list[Value]:
        """The rows, then the level of the corruption that is as far away as the samples."""
        rows = super().seen(view, evidence)
        empty = self.blank(self.level_row(), view, evidence)
        first = rows[0]
        ladder = self.measured_ladder(view, evidence)
        if first.value is None or first.low is None or first.high is None:
            return [*rows, replace(empty, reason=first.reason or "the distance has no interval")]
        if off_ladder(first.value, ladder):
            reason = f"farther away than the strongest {self.ladder} tried ({ladder[-1][0]:g})"
            return [*rows, replace(empty, reason=reason)]
        value, low, high = (
            equivalent_level(d, ladder) for d in (first.value, first.low, first.high)
        )
        made = replace(empty, value=value, low=low, high=high, interval=OVER_LADDER, reason=None)
        if off_ladder(first.high, ladder):
            cut = f"{OVER_LADDER}; cut off at the strongest {self.ladder} tried ({high:g})"
            made = replace(made, interval=cut)
        return [*rows, made]

    def measured_ladder(self, view: View, evidence: Evidence) -> list[tuple[float, float]]:
        """Levels of corruption of training images, and their distances."""
        levels = LEVELS[self.ladder]
        images = evidence.train.images[: evidence.samples]

        def compute() -> list[float]:
            moments = Moments.of(view.real.features)
            return [
                frechet_distance(moments, Moments.of(view.features(worse).features))
                for worse in (corrupted(images, self.ladder, x, evidence.seed) for x in levels)
            ]

        about = {
            **evidence.known,
            "ladder": self.ladder,
            "levels": list(levels),
            "extractor": view.sees,
        }
        name = f"ladder-{self.ladder}-{view.extractor.name}"
        return list(zip(levels, evidence.store.numbers(name, about, compute), strict=True))


def relative(comparison: Comparison) -> Estimate:
    """The distance over the trace of the real covariance."""
    value, error = comparison.frechet
    total = comparison.moments.factor.square().sum().item()
    scale = comparison.moments.mean.square().sum().item() * len(comparison.real.features)
    if total <= 1e-12 * scale:
        raise UsageError("the real features do not vary")
    return Estimate(value / total, None if error is None else error / total)


@dataclass(frozen=True)
class KernelDistance(Instrument):
    """KID: the squared maximum mean discrepancy under a cubic kernel, without bias."""

    def rows(self) -> Sequence[Row]:
        """One."""
        return [
            Row(
                "kid",
                "Kernel distance",
                "squared kernel units (0 for equal distributions, may be below)",
                "lower",
                "distance",
                lambda c: kernel_distance(c.pairs),
                "95 %, variance of the U-statistic, over samples",
            )
        ]


@dataclass(frozen=True)
class FeatureDivergence(Instrument):
    """KL(data || model) in feature space, by two estimators that err in different ways.

    Attributes:
        images: At most so many of each side, chosen at random but always the same.
    """

    images: int = 5000
    others = ()

    def __post_init__(self) -> None:
        if self.images < 10:
            raise UsageError(f"feature_divergence.images must be 10 or more, not {self.images}")

    def how(self, evidence: Evidence) -> str:
        """How many images."""
        return f"; at most {self.images} of each side, on 16 principal components"

    def rows(self) -> Sequence[Row]:
        """By a classifier between real and fake, and by nearest neighbours."""
        nats = partial(Row, unit="nats, at most 16 dimensions", better="lower", aspect="distance")
        title = "KL(data || model), by"
        return [
            nats("feature_kl_ratio", f"{title} density ratio", function=self.by_ratio),
            nats("feature_kl_neighbours", f"{title} neighbours", function=self.by_neighbours),
        ]

    def by_ratio(self, comparison: Comparison) -> Estimate:
        """By a classifier, which cannot tell more than log N from N images."""
        real, fake = self.both(comparison)
        found = density_ratio_divergence(real=real, fake=fake)
        most = math.log(min(len(real), len(fake)))
        if found.value > most:
            raise UsageError(f"more than log N = {most:.1f} nats, which N images cannot show")
        return found

    def by_neighbours(self, comparison: Comparison) -> Estimate:
        """By distances: too high in many dimensions, too low for sets that are far apart."""
        real, fake = self.both(comparison)
        real, fake = reduced(real=real, fake=fake)
        # As many fakes as each real image has real others: with other counts the estimate needs the
        # dimension of the manifold, below that of the features, and is off by nats without.
        count = min(len(real), len(fake) + 1)
        return nearest_neighbour_divergence(real=real[:count], fake=fake[: count - 1])

    def both(self, comparison: Comparison) -> tuple[Tensor, Tensor]:
        """Features of both sides."""
        sides = comparison.real.features, comparison.fake.features
        return chosen(sides[0], self.images), chosen(sides[1], self.images)
