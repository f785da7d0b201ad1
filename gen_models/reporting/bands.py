"""A quantity over several seeds: the mean, and how sure it is, at each point of a common axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from gen_models.records import Curve
from gen_models.reporting.estimates import over_seeds

if TYPE_CHECKING:
    import numpy as np

Axis = Literal["images", "seconds"]
"""What a curve is drawn over: real images seen, or seconds of training."""

POINTS = 50
"""Of a line: as many as a small figure shows; each costs some 40 bytes of the page."""

FEWEST = 3
"""Seeds that a band takes: that of two would reach 13 standard errors to each side."""


@dataclass(frozen=True)
class Band:
    """Mean and 95 % interval at each point; NaN where a seed has a gap.

    Attributes:
        x: Images or seconds, ascending.
        mean: Over seeds, in the unit of the curve.
        low: Lower end of the interval, same unit.
        high: Upper end, same unit.
        interpolated: Whether the seeds had grids of their own.
    """

    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    interpolated: bool


def band(seeds: Sequence[Curve], axis: Axis) -> Band | None:
    """The mean over seeds with its 95 % Student-t interval, that of `over_seeds`, at each point.

    Seeds on one grid keep it. Others are interpolated linearly onto the points of all of them
    within the range that all cover, where the mean of straight pieces has no other corners; of more
    than `POINTS`, every so many are kept.

    Args:
        seeds: One curve each.
        axis: What they are drawn over; each has it.

    Returns:
        None for fewer than `FEWEST` seeds, and for seeds without a common range.
    """
    import numpy as np

    if len(seeds) < FEWEST:
        return None
    places = [np.asarray(getattr(curve, axis), float) for curve in seeds]
    values = [np.asarray(gaps(curve), float) for curve in seeds]
    alike = all(np.array_equal(place, places[0]) for place in places)
    grid = places[0] if alike else _common(places)
    if not len(grid):
        return None
    if not alike:
        values = [np.interp(grid, *pair) for pair in zip(places, values, strict=True)]
    columns = [_interval(column) for column in np.stack(values, axis=1).tolist()]
    mean, low, high = zip(*columns, strict=True)
    return Band(tuple(grid.tolist()), mean, low, high, not alike)


def _common(places: "Sequence[np.ndarray]") -> "np.ndarray":
    import numpy as np

    every = np.unique(np.concatenate(places))
    first, last = max(place[0] for place in places), min(place[-1] for place in places)
    shared = every[(every >= first) & (every <= last)]
    return shared[:: max(1, -(-len(shared) // POINTS))]


def _interval(values: Sequence[float]) -> tuple[float, float, float]:
    estimate = over_seeds(values)
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.value, estimate.low, estimate.high


def gaps(curve: Curve) -> list[float]:
    """The values with NaN for None: a line is left open there."""
    return [math.nan if value is None else value for value in curve.values]


def best(curve: Curve) -> int | None:
    """Where the curve is lowest, the first of equals; None without a finite value."""
    return min(_known(curve), key=gaps(curve).__getitem__, default=None)


def first(curve: Curve) -> int | None:
    """Where the curve's first finite value stands; None without one."""
    return min(_known(curve), default=None)


def last(curve: Curve) -> int | None:
    """Where the curve's last finite value stands; None without one."""
    return max(_known(curve), default=None)


def _known(curve: Curve) -> list[int]:
    return [index for index, value in enumerate(curve.values) if value is not None]


def thin(curve: Curve) -> Curve:
    """At most `POINTS` points, each the mean of its neighbours: noise would fill the picture."""
    step = -(-len(curve.images) // POINTS)
    if step < 2:
        return curve
    blocks = [slice(start, start + step) for start in range(0, len(curve.images), step)]
    kept = [[value for value in curve.values[block] if value is not None] for block in blocks]
    return Curve(
        curve.name,
        tuple(curve.images[block][-1] for block in blocks),
        tuple(fmean(values) if values else None for values in kept),
        tuple(curve.seconds[block][-1] for block in blocks) if curve.seconds else (),
    )
