"""Instruments of the whole distribution: how far the samples lie from the real images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.comparison import Comparison
from gen_models.evaluation.evidence import Evidence, View
from gen_models.evaluation.measurements.instrument import Instrument, Row
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
from gen_models.evaluation.store import content
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
        distance = partial(Row, better="lower", aspect="distance", interval=BY_INFLUENCE)
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
        return replace(row, restates=TITLE)

    def seen(self, view: View, evidence: Evidence) -> list[Value]:
        """The rows, then the level of the corruption that is as far away as the samples."""
        rows = super().seen(view, evidence)
        empty = self.blank(self.level_row(), view, evidence)
        first = rows[0]
        ladder = self.measured_ladder(view, evidence)
        if first.value is None or first.low is None or first.high is None:
            return [*rows, empty]
        if off_ladder(first.value, ladder):
            reason = f"farther away than the strongest {self.ladder} tried ({ladder[-1][0]:g})"
            return [*rows, replace(empty, reason=reason)]
        value, low, high = (
            equivalent_level(d, ladder) for d in (first.value, first.low, first.high)
        )
        level = replace(
            empty, value=value, low=low, high=high, interval=first.interval, reason=None
        )
        return [*rows, level]

    def measured_ladder(self, view: View, evidence: Evidence) -> list[tuple[float, float]]:
        """Levels of corruption of training images, and their distances."""
        levels = LEVELS[self.ladder]
        images = evidence.train.images[: evidence.samples]

        def compute() -> list[float]:
            moments = view.samples.moments
            return [
                frechet_distance(moments, Moments.of(view.features(worse).features))
                for worse in (corrupted(images, self.ladder, x, evidence.seed) for x in levels)
            ]

        about = {
            "real": content(evidence.real.images),
            "images": content(images),
            "ladder": self.ladder,
            "levels": list(levels),
            "extractor": view.extractor.digest,
            "device": evidence.device.type,
            "seed": evidence.seed,
        }
        name = f"ladder-{self.ladder}-{view.extractor.name}"
        return list(zip(levels, evidence.store.numbers(name, about, compute), strict=True))


def relative(comparison: Comparison) -> Estimate:
    """The distance over the trace of the real covariance."""
    value, error = comparison.frechet
    total = comparison.moments.factor.square().sum().item()
    if total == 0:
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
                BY_INFLUENCE,
            )
        ]


@dataclass(frozen=True)
class FeatureDivergence(Instrument):
    """KL(data || model) in feature space, by two estimators that err in different ways."""

    others = ()

    def rows(self) -> Sequence[Row]:
        """By a classifier between real and fake, and by nearest neighbours."""
        unit = "nats, at most 16 dimensions"
        return [
            Row(
                "feature_kl_ratio",
                "KL(data || model), by density ratio",
                unit,
                "lower",
                "distance",
                by_ratio,
            ),
            Row(
                "feature_kl_neighbours",
                "KL(data || model), by neighbours",
                unit,
                "lower",
                "distance",
                by_neighbours,
            ),
        ]


def by_ratio(comparison: Comparison) -> Estimate:
    """By a classifier: cannot see more than about log N."""
    return density_ratio_divergence(real=comparison.real.features, fake=comparison.fake.features)


def by_neighbours(comparison: Comparison) -> Estimate:
    """By distances: too high in many dimensions, too low for far-off sets."""
    real, fake = reduced(real=comparison.real.features, fake=comparison.fake.features)
    # As many fakes as each real image has real others: with other counts the estimate needs the
    # dimension of the manifold, which is below that of the features, and is off by nats without.
    count = min(len(real), len(fake) + 1)
    return nearest_neighbour_divergence(real=chosen(real, count), fake=chosen(fake, count - 1))


def chosen(rows: Tensor, count: int) -> Tensor:
    """So many rows, at random but always the same: images may be sorted by class."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    return rows[order[:count].to(rows.device)]
