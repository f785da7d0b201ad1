"""Measurements that are functions of features: each by every extractor, each with its anchors."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from gen_models.capabilities import Samples
from gen_models.errors import UsageError
from gen_models.evaluation.comparison import Comparison
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.measurement import Measurement, blank, filled, of_few
from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.evaluation.store import source_digest
from gen_models.evaluation.view import View
from gen_models.records import Anchor, Value

OF = {
    "training": "{} training images",
    "validation": "{} validation images",
    "noise": "uniform noise",
    "mean": "the mean training image",
}

RAISE = "Fréchet distances are far too large, raise evaluation.samples or take other features"


@dataclass(frozen=True)
class Row:
    """One number that an instrument gives.

    Attributes:
        key: Begins the value's name; extractor, sample count and split follow.
        title: What people call it.
        unit: In words.
        better: "lower", "higher" or None.
        aspect: One of `records.ASPECTS`.
        function: Gives the number of a comparison; refuses with a `UsageError`.
        interval: What its interval is.
        bounds: Least and greatest value that it can have.
        restates: Title of the row that this one says again.
        covariance: Whether it is made of covariances, and marked where there are too few images.
    """

    key: str
    title: str
    unit: str
    better: str | None
    aspect: str
    function: Callable[[Comparison], Estimate]
    interval: str = "95 %, normal, over samples"
    bounds: tuple[float, float] = (-math.inf, math.inf)
    restates: str | None = None
    covariance: bool = False


class Instrument(Measurement):
    """A measurement by features; leaves give their rows.

    The same functions on known images give floor, ceiling and further anchors; these are kept in
    the store, because they do not depend on the model.

    Attributes:
        floor: What stands in the place of the samples where they are as good as real.
        ceiling: What does where they are as bad as can be.
        others: Further known images.
    """

    requires: ClassVar[type] = Samples
    floor: ClassVar[str] = "training"
    ceiling: ClassVar[str] = "noise"
    others: ClassVar[tuple[str, ...]] = ("mean",)

    @abstractmethod
    def rows(self) -> Sequence[Row]:
        """The numbers, in the order of the report."""

    def how(self, evidence: Evidence) -> str:
        """What a number hangs on beside samples, images and features, for the protocol."""
        return ""

    def views(self, evidence: Evidence) -> Sequence[View]:
        """The extractors that the instrument applies to."""
        return evidence.views

    def blanks(self, evidence: Evidence) -> list[Value]:
        """Every row by every extractor."""
        return [
            self.blank(row, view, evidence) for view in self.views(evidence) for row in self.rows()
        ]

    def blank(self, row: Row, view: View, evidence: Evidence) -> Value:
        """One row by one extractor, still empty."""
        count, split, extractor = evidence.samples, evidence.split, view.extractor
        return blank(
            f"{row.key}_{extractor.name}_{count}_{split}",
            row.title,
            row.unit + (self.few(view, evidence) if row.covariance else ""),
            row.better,
            count,
            f"{count} samples ({evidence.precision}) against the {len(evidence.real.images)} "
            f"{split} images, features {extractor.identity}{self.how(evidence)}",
            row.aspect,
            extractor.name,
            row.restates,
        )

    def few(self, view: View, evidence: Evidence) -> str:
        """The mark of numbers made of too few images."""
        smaller = min(evidence.samples, len(evidence.real.images))
        return of_few(smaller, view.extractor.dimension)

    def measure(self, evidence: Evidence) -> list[Value]:
        """Every row by every extractor, with its anchors."""
        values = []
        for view in self.views(evidence):
            few = self.few(view, evidence)
            if few and any(row.covariance for row in self.rows()):
                warnings.warn(f"{view.extractor.name}{few}: {RAISE}", stacklevel=2)
            try:
                values += self.seen(view, evidence)
            except UsageError as error:  # of this extractor, and of no other
                empties = [e for e in self.blanks(evidence) if e.extractor == view.extractor.name]
                values += [replace(empty, reason=str(error)) for empty in empties]
        return values

    def seen(self, view: View, evidence: Evidence) -> list[Value]:
        """The rows by one extractor; one that cannot be had says why."""
        names = (self.floor, self.ceiling, *self.others)
        columns = zip(*(self.known(name, view, evidence) for name in names), strict=True)
        values = []
        for row, (floor, ceiling, *others) in zip(self.rows(), columns, strict=True):
            empty = self.blank(row, view, evidence)
            try:
                value, error = row.function(view.samples)
            except UsageError as reason:
                values.append(replace(empty, reason=str(reason)))
                continue
            made = filled(empty, value, error, row.interval, row.bounds)
            anchors = tuple(anchor for anchor in others if anchor)
            values.append(replace(made, floor=floor, ceiling=ceiling, anchors=anchors))
        return values

    def known(self, name: str, view: View, evidence: Evidence) -> list[Anchor | None]:
        """The rows of known images: once for a data set, an extractor and a state of this code."""
        rows = self.rows()

        def compute() -> list[float]:
            return [numeric(row.function, lambda: view.known(name)) for row in rows]

        numbers = evidence.store.numbers(
            f"{type(self).__name__}-{name}-{view.extractor.name}",
            {
                **evidence.known,
                "instrument": f"{type(self).__module__}.{self!r}",
                "code": source_digest(type(self)),
                "stand_in": name,
                "extractor": view.sees,
            },
            compute,
        )
        of = OF[name]
        of = of.format(len(evidence.stand_in(name))) if "{}" in of else of
        return [None if math.isnan(number) else Anchor(number, of) for number in numbers]


def numeric(
    function: Callable[[Comparison], Estimate], comparison: Callable[[], Comparison]
) -> float:
    """The number; NaN where it, or the comparison, cannot be had."""
    try:
        value = function(comparison()).value
    except UsageError:
        return math.nan
    return value if math.isfinite(value) else math.nan
