"""A number and how sure it is: what every instrument returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Estimate(NamedTuple):
    """A measured number.

    Attributes:
        value: In the unit of the instrument.
        error: Its standard error over the draw of the samples, the real images held fixed
            where an instrument does not say otherwise; None
            where there is none.
    """

    value: float
    error: float | None = None


def mean_estimate(values: Tensor) -> Estimate:
    """Mean of one value per fake (M,), and its standard error; None for a single fake."""
    values, count = values.double(), len(values)
    error = (values.std() / count**0.5).item() if count > 1 else None
    return Estimate(values.mean().item(), error)


def share_estimate(hits: Tensor) -> Estimate:
    """Share of hits among fakes (M,), bool; none or all of them are no certainty either.

    The error is the binomial one at the mean of Jeffreys' posterior, half a hit and half a miss
    more.

    Example:
        >>> from torch import zeros
        >>> value, error = share_estimate(zeros(99, dtype=bool))
        >>> value, round(error, 4)
        (0.0, 0.0071)
    """
    count, found = len(hits), int(hits.sum())
    likely = (found + 0.5) / (count + 1)
    return Estimate(found / count, (likely * (1 - likely) / count) ** 0.5)
