"""Whether one model is better than another: a test with its p value, in place of a glance."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from gen_models.errors import UsageError
from gen_models.records import Value

LEVEL = 0.05
"""A difference with a p value below this is called one."""

ONE_TRAINING = "normal test over samples, one training of each held fixed"
"""The test of one run against one: it knows nothing of other seeds."""

PROTOCOL = {
    "name": "name",
    "extractor": "extractor",
    "count": "sample count",
    "unit": "unit",
    "better": "direction",
    "protocol": "protocol",
}
"""The fields that values have to share before they are compared, and what people call them."""

Runs = Mapping[int, Value]
"""One model on one measurement: the value of each seed."""


@dataclass(frozen=True)
class Verdict:
    """What a test says of two models on one measurement.

    Attributes:
        difference: Mean of the first less mean of the second, in the measurement's unit.
        p: Two-sided p value; None where no test is possible.
        test: Which test it is; without p, what is lacking: "without an error of each run".
        superiority: Share of the pairs, a run of the first and one of the second, in which the
            first is better, ties counted half (A of Vargha & Delaney, 2000); None where neither
            direction is better, or the pair is one.
    """

    difference: float
    p: float | None
    test: str
    superiority: float | None

    @property
    def decided(self) -> bool:
        """Whether the difference is more than chance explains, at `LEVEL`."""
        return self.p is not None and self.p < LEVEL


def verdict(first: Runs, second: Runs) -> Verdict:
    r"""Test whether two models differ on one measurement.

    The seeds alone choose the test, before any number is seen:

    - The same seeds, two or more: Student's paired t (1908),
      $t = \bar d / \sqrt{s_d^2 / n}$ on the seeds' differences $d_i$, with $n - 1$ degrees of
      freedom. A seed orders the training images of both models, so that their runs are not
      independent; pairing holds under any correlation, Welch's test under none alone. The price is
      half the degrees of freedom: with 2 or 3 seeds it decides on large, steady differences only.
      Test images and, by default, evaluation's draws are the same for all seeds: their error is not
      in the test.
    - Other seeds, two or more of each: Welch's t (1947), with Satterthwaite's degrees of freedom.
      Seeds that are shared in part too: their runs as a rule vary together, for which the test is
      the more cautious.
    - One run of each: $z = d / \sqrt{e_1^2 + e_2^2}$, of the standard errors $e$ within the runs.
      Both trainings are held fixed. Where the errors are over images that both models share, they
      correlate, and the test is the more cautious for it.

    Args:
        first: Values of one model, each with a number, at least one.
        second: Those of another model.

    Returns:
        The verdict, without p where one run stands against several, a lone run has no error, or
        nothing varies.

    Raises:
        UsageError: If the values differ in a field of `PROTOCOL`; it names field and contents.

    >>> a, b = ({s: Value("mse", "Error", x[s], "") for s in (0, 1)} for x in ([1, 2], [3, 5]))
    >>> verdict(a, b).difference, round(verdict(a, b).p, 3), verdict(a, b).test
    (-2.5, 0.126, 'paired t over 2 seeds')
    """
    values = [*first.values(), *second.values()]
    _refuse_differing(values)
    mine, theirs = numbers(first), numbers(second)
    difference = fmean(mine) - fmean(theirs)
    error, freedom, test = _test(first, second)
    # What rounding alone can make of equal numbers is no spread to measure a difference by.
    if error is not None and error <= 1e-12 * max(map(abs, (*mine, *theirs))):
        error, test = None, "without a spread"
    p = None if error is None else _two_sided(difference / error, freedom)
    return Verdict(difference, p, test, _superiority(mine, theirs, values[0].better))


def differing(values: Iterable[Value]) -> dict[str, list[str]]:
    """What of `PROTOCOL` is not the same for all values, and what they have there.

    >>> differing([Value("rate", "Rate", 1.0, "nats"), Value("rate", "Rate", 1.0, "bits")])
    {'unit': ['nats', 'bits']}
    """
    values = list(values)
    given = {
        word: list(dict.fromkeys(str(getattr(value, field)) for value in values))
        for field, word in PROTOCOL.items()
    }
    return {word: contents for word, contents in given.items() if len(contents) > 1}


def written(p: float) -> str:
    """A p value as prose has it.

    >>> written(0.0123), written(0.6), written(1e-9), written(0.0497)
    ('p = 0.012', 'p = 0.60', 'p < 0.001', 'p = 0.0497')
    """
    if p < 0.001:
        return "p < 0.001"
    # Rounded, a p must not cross the level that it is judged by.
    digits = next(n for n in range(2, 18) if (float(f"{p:.{n}g}") < LEVEL) == (p < LEVEL))
    return f"p = {p:#.{digits}g}"


def _refuse_differing(values: Sequence[Value]) -> None:
    told = [f"{word} {' against '.join(given)}" for word, given in differing(values).items()]
    if told:
        raise UsageError(
            f"values that differ in protocol are not compared ({', '.join(told)}); measure both"
            " models with the same extractor, sample count and split"
        )


def numbers(runs: Runs) -> list[float]:
    """The numbers of runs that all have one, in their order."""
    found = [value.value for value in runs.values() if value.value is not None]
    assert len(found) == len(runs) > 0, "a verdict is on runs that have the number"
    return found


def _test(first: Runs, second: Runs) -> tuple[float | None, float, str]:
    """Standard error of the difference, its degrees of freedom, and the test or what it lacks."""
    if len(first) == len(second) == 1:
        return _within_runs(*first.values(), *second.values())
    if min(len(first), len(second)) == 1:
        return None, math.inf, "with one run against several"
    if first.keys() == second.keys():
        return _paired(numbers(first), numbers({seed: second[seed] for seed in first}))
    return _welch(numbers(first), numbers(second))


def _within_runs(first: Value, second: Value) -> tuple[float | None, float, str]:
    if first.error is None or second.error is None:
        return None, math.inf, "without an error of each run"
    return math.hypot(first.error, second.error), math.inf, ONE_TRAINING


def _paired(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, str]:
    count = len(first)
    spread = variance([a - b for a, b in zip(first, second, strict=True)])
    return math.sqrt(spread / count), count - 1, f"paired t over {count} seeds"


def _welch(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, str]:
    groups = (first, second)
    parts = [variance(numbers) / len(numbers) for numbers in groups]
    freedom, largest = math.inf, max(parts)
    if largest:
        # Of large numbers, the squares of the parts themselves would be too large for a float.
        shares = [part / largest for part in parts]
        squares = zip(shares, groups, strict=True)
        freedom = sum(shares) ** 2 / sum(s**2 / (len(numbers) - 1) for s, numbers in squares)
    return math.sqrt(sum(parts)), freedom, f"Welch's t over {len(first)} and {len(second)} seeds"


def _two_sided(t: float, freedom: float) -> float:
    # scipy.stats takes a second to import, for these two functions of scipy.special.
    from scipy.special import ndtr, stdtr

    tail = ndtr(-abs(t)) if math.isinf(freedom) else stdtr(freedom, -abs(t))
    return float(2 * tail)


def _superiority(
    first: Sequence[float], second: Sequence[float], better: str | None
) -> float | None:
    if better is None or len(first) == len(second) == 1:
        return None
    sign = 1 if better == "lower" else -1
    won = [(sign * (b - a) > 0) + (a == b) / 2 for a in first for b in second]
    return fmean(won)
