"""How two sides that took turns compare, in the words of the tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> str:
    """Median and quartiles of theirs over ours, turn by turn.

    >>> ratio([2.0, 3.0, 4.0], [1.0, 1.0, 1.0])
    '3.00 (2.50-3.50)'
    """
    low, middle, high = numpy.quantile(numpy.divide(theirs, ours), [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"
