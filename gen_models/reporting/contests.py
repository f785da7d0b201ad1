"""Every pair of models on one measurement, and p values that know how many pairs there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

from gen_models.reporting.verdicts import LEVEL, Runs, Verdict, numbers, verdict


@dataclass(frozen=True)
class Contest:
    """Every pair of models on one measurement.

    Attributes:
        ranking: The models by their means, the best first.
        pairs: The verdict on (ahead, behind), its p corrected for the number of pairs.
    """

    ranking: tuple[str, ...]
    pairs: Mapping[tuple[str, str], Verdict]

    @property
    def leading(self) -> dict[str, Verdict]:
        """The verdicts on the model with the best mean against each of the others."""
        return {other: self.pairs[self.ranking[0], other] for other in self.ranking[1:]}

    @property
    def p(self) -> float | None:
        """The largest p of the leading model against another; None where a test is lacking."""
        found = [verdict.p for verdict in self.leading.values()]
        known = [p for p in found if p is not None]
        return max(known) if len(known) == len(found) else None

    @property
    def winner(self) -> str | None:
        """The model that is better than each of the others, at `LEVEL`."""
        return self.ranking[0] if self.p is not None and self.p < LEVEL else None


def contest(models: Mapping[str, Runs]) -> Contest:
    """Put every pair of models to the test, with Holm's correction over the pairs.

    Args:
        models: Two or more, by label; their measurement has a direction that is better.

    Raises:
        UsageError: As `verdict` does.
    """
    better = next(iter(next(iter(models.values())).values())).better
    assert better, "without a better direction nobody leads"
    sign = 1 if better == "lower" else -1
    ranking = sorted(models, key=lambda label: sign * fmean(numbers(models[label])))
    pairs = {(a, b): verdict(models[a], models[b]) for a, b in combinations(ranking, 2)}
    corrected = holm([found.p for found in pairs.values()])
    return Contest(
        tuple(ranking),
        {pair: replace(pairs[pair], p=p) for pair, p in zip(pairs, corrected, strict=True)},
    )


def holm(ps: Sequence[float | None]) -> list[float | None]:
    r"""Correct p values for their number: that any is below $\alpha$ by chance has chance $\alpha$.

    $\tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1) p_{(j)})$ over the m sorted values
    (Holm, 1979). None, a test that was not made, stays None and counts for nothing.

    >>> holm([0.04, None, 0.01])
    [0.04, None, 0.02]
    """
    order = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    largest = 0.0
    for passed, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - passed) * p))
        corrected[place] = largest
    return corrected
