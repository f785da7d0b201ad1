"""Are the samples new? Instruments of memorisation, and exact copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from gen_models.capabilities import Samples
from gen_models.errors import UsageError
from gen_models.evaluation.comparison import Comparison
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.instrument import Instrument, Row
from gen_models.evaluation.measurements.measurement import Measurement, blank, filled
from gen_models.evaluation.statistics.copies import copies, duplicates
from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.evaluation.statistics.memorisation import (
    authenticity,
    copying,
    memorisation_penalty,
    nearest_ratio,
)
from gen_models.evaluation.statistics.repeats import near_repeats
from gen_models.records import Anchor, Value

NO_ANGLE = 1e-13
"""Cosine distances up to here are rounding; a million points all around lie farther apart."""


@dataclass(frozen=True)
class Memorisation(Instrument):
    """Do the samples lie closer to training images than new real images do?

    Here the floor is held-out images, and the ceiling the training images themselves: copies.

    Attributes:
        threshold: Of MIFID, on the mean cosine distance to the nearest training image; None: half
            of the real images' own. (The published 0.1 belongs to Inception's features.)
        seed: Of the clustering.
    """

    threshold: float | None = None
    seed: int = 0
    floor = "validation"
    ceiling = "training"
    others = ()

    def how(self, evidence: Evidence) -> str:
        """The training images, and the settings."""
        threshold = "half of the real images' own" if self.threshold is None else self.threshold
        return (
            f"; copies sought among {len(evidence.train.images)} training images, cells by seed "
            f"{self.seed}, MIFID's threshold {threshold}"
        )

    def rows(self) -> Sequence[Row]:
        """Data copying, distances to the nearest, authenticity, Fréchet distance with a penalty."""
        return [
            Row(
                "copying",
                "Data copying C_T",
                "deviations; far below 0: copies",
                None,
                "memorisation",
                self.copied,
                "95 %, of the statistic",
            ),
            Row(
                "nearest_ratio",
                "Distance to the nearest training image",
                "of held-out images' own; 1: new, 0: copies",
                None,
                "memorisation",
                nearest,
                bounds=(0, math.inf),
            ),
            Row(
                "authenticity",
                "Authentic samples",
                "share of samples; compare with the floor",
                None,
                "memorisation",
                lambda c: authenticity(train=c.learned, fake=c.fake.features),
                bounds=(0, 1),
            ),
            Row(
                "mifid",
                "Fréchet distance, copies penalised",
                "squared feature units",
                "lower",
                "memorisation",
                self.penalised,
                restates="Fréchet distance",
                covariance=True,
            ),
        ]

    def copied(self, c: Comparison) -> Estimate:
        """The statistic of Meehan et al., with the real images as held-out test."""
        return copying(train=c.learned, test=c.real.features, fake=c.shuffled, seed=self.seed)

    def penalised(self, c: Comparison) -> Estimate:
        """MIFID (Bai et al., 2021).

        Raises:
            UsageError: If angles tell nothing: in one dimension, or where training images lie in
                the direction of every real image.
        """
        if c.learned.shape[1] == 1:
            raise UsageError("features of one dimension have no angles, copies or not")
        threshold = self.threshold
        if threshold is None:
            own = memorisation_penalty(train=c.learned, fake=c.real.features, threshold=math.inf)
            threshold = 0.5 / own.value
            if threshold < NO_ANGLE:
                raise UsageError("real images are at no angle to training images, as copies are")
        factor = memorisation_penalty(train=c.learned, fake=c.fake.features, threshold=threshold)
        value, error = c.frechet
        errors = factor.value * (error or 0.0), (factor.error or 0.0) * value
        return Estimate(factor.value * value, math.hypot(*errors))


def nearest(c: Comparison) -> Estimate:
    """The distance to the nearest training image, with the real images as held-out test."""
    return nearest_ratio(train=c.learned, test=c.real.features, fake=c.fake.features)


@dataclass(frozen=True)
class NearRepeats(Instrument):
    """Do samples repeat each other nearly? The birthday test, by features.

    Attributes:
        share: Of real images that count as having a twin.
    """

    share: float = 0.01
    ceiling = "mean"
    others = ()

    def how(self, evidence: Evidence) -> str:
        """What a twin is."""
        return f"; a twin is nearer than {1 - self.share:.0%} of real images' nearest others are"

    def rows(self) -> Sequence[Row]:
        """One share."""
        return [
            Row(
                "near_repeats",
                "Samples with a near twin",
                f"share of samples, {self.share:g} for real images",
                "lower",
                "diversity",
                lambda c: near_repeats(real=c.real.features, fake=c.shuffled, share=self.share),
                bounds=(0, 1),
            )
        ]


@dataclass(frozen=True)
class Copies(Measurement):
    """Samples, to the byte: repeated, copied from the training images, or out of range."""

    requires: ClassVar[type] = Samples

    def blanks(self, evidence: Evidence) -> list[Value]:
        """Three values."""
        count = evidence.samples
        protocol = f"{count} samples ({evidence.precision}), byte for byte"
        rows = [
            ("duplicates", "Repeated samples", "share of samples", "memorisation"),
            ("copies", "Copies of training images", "share of samples", "memorisation"),
            ("clamped", "Values outside [0, 1]", "share of values, moved to the end", "protocol"),
        ]
        return [
            blank(f"{key}_{count}", title, unit, "lower", count, protocol, aspect)
            for key, title, unit, aspect in rows
        ]

    def measure(self, evidence: Evidence) -> list[Value]:
        """The shares; the floor is the same count on held-out images."""
        images, clamped, _ = evidence.drawn
        train, fresh = evidence.train.images.cpu(), evidence.real.images.cpu()
        floors = duplicates(fresh) / len(fresh), copies(fresh, train) / len(fresh), 0.0
        counts = duplicates(images), copies(images, train)
        shares = *(count / len(images) for count in counts), clamped / images.numel()
        of = f"{len(fresh)} {evidence.split} images"
        values = [
            replace(filled(empty, share, None, ""), floor=Anchor(floor, of))
            for empty, share, floor in zip(self.blanks(evidence), shares, floors, strict=True)
        ]
        if evidence.stored != torch.uint8:  # of which nothing is moved: a 0 would say that none is
            reason = "the data are floats, which may lie outside [0, 1] and are not moved"
            values[-1] = replace(self.blanks(evidence)[-1], reason=reason)
        return values
