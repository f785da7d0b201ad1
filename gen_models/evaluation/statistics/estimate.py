"""A number and how sure it is: what every instrument returns."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """A measured number.

    Attributes:
        value: In the unit of the instrument.
        error: Its standard error over the draw of the samples, the real images held fixed; None
            where there is none.
    """

    value: float
    error: float | None = None
