"""What a measurement is: the capability it needs, and named values from evidence.

The name of a value carries extractor, sample count and split, because a number without them means
nothing; `docs/metrics.md` gives formula, unit, floor and ceiling of each.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from gen_models.capabilities import lacking
from gen_models.evaluation.evidence import Evidence
from gen_models.records import Value

NORMAL_95 = 1.959964

OVER_IMAGES = "95 %, normal, over images"


class Measurement(ABC):
    """One kind of measurement; frozen dataclasses below hold the choices."""

    requires: ClassVar[type]

    def missing(self, evidence: Evidence) -> str | None:
        """Why the measurement does not apply; None if it does."""
        if isinstance(evidence.model, self.requires):
            return None
        return lacking(evidence.model, self.requires)

    @abstractmethod
    def blanks(self, evidence: Evidence) -> list[Value]:
        """The values that `measure` gives, in order, still empty."""

    @abstractmethod
    def measure(self, evidence: Evidence) -> list[Value]:
        """The values."""


def blank(
    name: str,
    title: str,
    unit: str,
    better: str | None,
    count: int,
    protocol: str,
    aspect: str = "",
    extractor: str | None = None,
    restates: str | None = None,
) -> Value:
    """A value that has not been measured."""
    return Value(
        name=name,
        title=title,
        value=None,
        unit=unit,
        count=count,
        protocol=protocol,
        better=better,  # type: ignore[arg-type]
        reason="not measured",
        aspect=aspect,
        extractor=extractor,
        restates=restates,
    )


def filled(
    empty: Value,
    value: float,
    error: float | None,
    interval: str,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Value:
    """The blank with a value and its normal interval at 95 %, where there is a standard error.

    Args:
        empty: The blank.
        value: In its unit.
        error: Its standard error over samples.
        interval: What the interval is taken over.
        bounds: Ends of the interval lie between these.
    """
    if error is None:
        return replace(empty, value=value, reason=None)
    half = NORMAL_95 * error
    # A rounding error beyond its bound must not turn the interval around.
    low, high = max(value - half, min(bounds[0], value)), min(value + half, max(bounds[1], value))
    return replace(
        empty, value=value, reason=None, error=error, low=low, high=high, interval=interval
    )


def of_few(images: int, features: int) -> str:
    """What marks the unit of a number made of covariances; empty where they have full rank.

    Args:
        images: Of the smaller of the two sides.
        features: D.

    Example:
        >>> of_few(50, 64)
        '; 50 images, too few for 64 features'
    """
    return "" if images > features else f"; {images} images, too few for {features} features"


def mean_filled(empty: Value, values: Tensor) -> Value:
    """The blank with the mean of one value an image, (N,)."""
    return filled(empty, values.mean().item(), standard_error(values), OVER_IMAGES)


def standard_error(values: Tensor) -> float | None:
    """Of the mean of (N,); None for a single value."""
    return (values.std() / len(values) ** 0.5).item() if len(values) > 1 else None
