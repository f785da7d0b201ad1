"""A number with its interval, and how both are written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gen_models.records import Value


@dataclass(frozen=True)
class Estimate:
    """A number, its interval if it has one, and what the interval is taken over.

    Attributes:
        value: In the unit of the measurement.
        low: Lower end of the interval, same unit.
        high: Upper end of the interval, same unit.
        basis: "over 3 seeds", "over samples", or "no interval".
        ruler: Floor and ceiling, where a way leads from the one to the other.
    """

    value: float
    low: float | None = None
    high: float | None = None
    basis: str = "no interval"
    ruler: tuple[float, float] | None = None

    @property
    def way(self) -> float | None:
        """Per cent of the way from floor to ceiling."""
        return self._way(self.value) if self.ruler else None

    @property
    def past(self) -> bool:
        """Whether the whole interval, the number where there is none, has reached the ceiling."""
        ends = [end for end in (self.low, self.high) if end is not None] or [self.value]
        return self.ruler is not None and min(map(self._way, ends)) >= 100

    def _way(self, value: float) -> float:
        assert self.ruler
        floor, ceiling = self.ruler
        # Adding zero takes the sign off a zero.
        return 100 * (value - floor) / (ceiling - floor) + 0.0

    @property
    def interval(self) -> str:
        """The interval in brackets, or nothing.

        A whole number that never varied (a parameter count) needs no interval.
        """
        if self.low is None or self.high is None:
            return ""
        if isinstance(self.value, int) and self.low == self.high:
            return ""
        return f"[{number(self.low)}, {number(self.high)}]"

    def __str__(self) -> str:
        return f"{number(self.value)} {self.interval}".strip()


def number(value: float, digits: int = 4) -> str:
    """So many significant digits; a whole number as it is; thousands apart.

    >>> number(1.23), number(0.00012344), number(54321.0), number(200000), number(1.5e9)
    ('1.230', '0.0001234', '54,320', '200,000', '1.500e+09')
    >>> number(8.214, 2), number(0.9, 2), number(123.4, 2)
    ('8.2', '0.90', '120')
    """
    if isinstance(value, int):
        return f"{value:,}"
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0:
        return "0"
    if 10 ** (digits - 1) <= abs(rounded) < 1e7:
        return f"{rounded:,.0f}"
    return f"{rounded:#.{digits}g}"


def percentage(share: float) -> str:
    """Three digits of a percentage, whole above 1000.

    >>> percentage(3.126), percentage(25.0), percentage(999.7), percentage(-0.001)
    ('3.13 %', '25 %', '1,000 %', '0 %')
    """
    share = round(share, 2) + 0.0
    return f"{share:,.0f} %" if abs(share) >= 999.5 else f"{share:.3g} %"


def of_value(value: Value) -> Estimate:
    """The estimate of a single run: the value with its own interval, over samples."""
    assert value.value is not None
    if value.low is None or value.high is None:
        return Estimate(value.value)
    return Estimate(value.value, value.low, value.high, "over samples")


def over_seeds(values: Sequence[float]) -> Estimate:
    r"""Mean and 95 % Student-t interval over independently seeded runs.

    $\bar x \pm t_{0.975, n-1} s / \sqrt n$, s the standard deviation with n - 1 in the denominator.

    Args:
        values: One per seed, two or more, in the unit of the measurement.

    Returns:
        In the same unit. Values that are all the same stay what they are.

    >>> str(over_seeds([1.0, 2.0, 3.0]))
    '2.000 [-0.4841, 4.484]'
    """
    count = len(values)
    assert count > 1, "one seed has no interval over seeds"
    basis = f"over {count} seeds"
    if len(set(values)) == 1:
        return Estimate(values[0], values[0], values[0], basis)
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = _student_quantile(count - 1) * math.sqrt(variance / count)
    return Estimate(mean, mean - half, mean + half, basis)


def _student_quantile(freedom: int) -> float:
    # scipy.stats takes a second to import, for this one number.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))
