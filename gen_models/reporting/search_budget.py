"""What a search buys: the score to expect of the best of k configurations, over k."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from gen_models.records import Record
from gen_models.reporting.drawing import Style, blank, label, legend, styles, svg
from gen_models.reporting.estimates import number
from gen_models.reporting.groups import Group
from gen_models.reporting.plots import Plot, panel
from gen_models.reporting.words import together

ENOUGH = 5
"""Configurations of one model that make a search."""


@dataclass(frozen=True)
class Configuration:
    """A configuration that was tried.

    Attributes:
        label: What tells it from the model's others.
        validation: The score that it is chosen by, lower is better; None if no run finished.
        test: What is reported if it is chosen.
    """

    label: str
    validation: float | None
    test: float | None


@dataclass(frozen=True)
class Search:
    """All configurations of one model that were tried, and the name of the reported value."""

    model: str
    value: str
    tried: tuple[Configuration, ...]

    @property
    def failed(self) -> int:
        """How many gave no score: they cost their budget, and are never chosen."""
        return sum(one.validation is None or one.test is None for one in self.tried)

    @property
    def chosen(self) -> Configuration:
        """The best of all by validation."""
        scored = [one for one in self.tried if one.validation is not None]
        return min(scored, key=lambda one: one.validation or 0.0)

    def expected(self, number: int) -> tuple[float, float]:
        r"""Mean and standard deviation of what is reported when `number` configurations are tried.

        Of all subsets of size k of the n that were tried, each as likely, the configuration of rank
        i by validation is the best with probability $\binom{n-i}{k-1} / \binom{n}{k}$: its k - 1
        companions come from the n - i behind it. In place of the resampling of Lucic et al. (2018,
        figure 2) this is exact; and it chooses on validation and reports on test images, where they
        chose and reported on the same. Subsets in which all have failed are left out.

        Args:
            number: k, from 1 to n.

        Raises:
            ValueError: If it is not, or no configuration has a score.
        """
        total = len(self.tried)
        scores = sorted(
            (one.validation, one.test)
            for one in self.tried
            if one.validation is not None and one.test is not None
        )
        if not 1 <= number <= total or not scores:
            raise ValueError(f"{number} of {total} configurations, {len(scores)} with a score")
        ways = [math.comb(total - rank, number - 1) for rank in range(1, len(scores) + 1)]
        chances = [way / sum(ways) for way in ways]
        tests = [test for _, test in scores]
        mean = sum(p * test for p, test in zip(chances, tests, strict=True))
        squares = sum(p * (test - mean) ** 2 for p, test in zip(chances, tests, strict=True))
        return mean, math.sqrt(squares)


def searches(groups: Sequence[Group]) -> list[Search]:
    """Models with `ENOUGH` configurations, all chosen by one score, which at least one has.

    Args:
        groups: Of one section.
    """
    by_model: dict[str, list[Group]] = {}
    for group in groups:
        by_model.setdefault(group.model, []).append(group)
    made = []
    for model, members in by_model.items():
        name = _reported([record for group in members for record in group.records])
        if name and len(members) >= ENOUGH:
            made.append(Search(model, name, tuple(_tried(group, name) for group in members)))
    return [search for search in made if search.failed < len(search.tried)]


def _reported(records: Sequence[Record]) -> str | None:
    """The test value that the selection's score speaks of: the first of its kind and extractor."""
    selections = {record.selection for record in records}
    if len(selections) != 1 or not (selection := selections.pop()):
        return None
    # validation/fid_digits64_1293_validation: kind and extractor, then the count and the split.
    kind = selection.removeprefix("validation/").rsplit("_", 2)[0]
    named = [{v.name for v in record.values if v.name.startswith(f"{kind}_")} for record in records]
    # A run that was not evaluated is one without a score, and takes it from no other.
    measured = [names for names in named if names]
    shared = set.intersection(*measured) if measured else set()
    return min(shared, key=lambda name: (len(name), name)) if shared else None


def _tried(group: Group, name: str) -> Configuration:
    """Means over the seeds that finished: of the selection's last point, where it was evaluated."""
    ends, tests = [], []
    for record in group.records:
        scores = [c.values[-1] for c in record.curves if c.name == record.selection and c.values]
        value = next((value for value in record.values if value.name == name), None)
        if scores and scores[0] is not None and value and value.value is not None:
            ends.append(scores[0])
            tests.append(value.value)
    means = (fmean(ends), fmean(tests)) if ends else (None, None)
    return Configuration(group.label, *means)


def bought(groups: Sequence[Group]) -> tuple[str, list[str]] | None:
    """Who is expected ahead with one configuration and with all, and each model's expectations.

    Only scores of one name are ranked, that of most models: others count other images.

    Args:
        groups: Of one section.

    Returns:
        A clause and sentences; None where there is no search.
    """
    found = searches(groups)
    if not found:
        return None
    told = [f"{search.value}, {search.model}: {_told(search)}." for search in found]
    values = [search.value for search in found]
    shared = max(values, key=values.count)
    ranked = [search for search in found if search.value == shared]
    others = [search.model for search in found if search.value != shared]
    if len(ranked) == 1:
        models = together([search.model for search in found])
        why = ", measured by different scores, and are not compared"
        return f"{models} were searched{why}" if others else f"{models} was searched", told
    least = min(len(search.tried) for search in ranked)
    ahead = {k: min(ranked, key=lambda search: search.expected(k)[0]).model for k in (1, least)}
    then = "as" if ahead[1] == ahead[least] else ahead[least]
    if others:
        told.append(f"Not ranked, because measured by another score: {together(others)}.")
    return f"{ahead[1]} is expected ahead with 1 configuration, {then} with {least}", told


def search_plots(groups: Sequence[Group]) -> list[Plot]:
    """A figure for each reported value: every model's expected score over k; none without a search.

    Args:
        groups: Of one section.
    """
    found = searches(groups)
    looks = styles([search.model for search in found])
    by_value: dict[str, list[Search]] = {}
    for search in found:
        by_value.setdefault(search.value, []).append(search)
    return [_plot(value, members, looks) for value, members in by_value.items()]


def _plot(value: str, found: Sequence[Search], looks: dict[str, Style]) -> Plot:
    figure, axes = blank()
    handles = []
    for search in found:
        look = looks[search.model]
        x = range(1, len(search.tried) + 1)
        ends = [search.expected(k) for k in x]
        means = [mean for mean, _ in ends]
        low, high = ([mean + side * spread for mean, spread in ends] for side in (-1, 1))
        axes.fill_between(x, low, high, color=look.colour, alpha=0.15, lw=0)
        looked: dict[str, Any] = {"color": look.colour, "ls": look.dash, "marker": look.mark}
        handles += axes.plot(x, means, label=search.model, ms=3, **looked)
    axes.locator_params(axis="x", integer=True)
    label(axes, "configurations tried", f"{value}\nof the best by validation")
    legend(figure, handles)
    title = "Score to expect of a search"
    return Plot(
        title,
        (panel(svg(figure), f"{title}: {value} over configurations tried"),),
        (
            f"Mean of {value} and, as a band, one standard deviation over which of the"
            " configurations are tried; the best of them is chosen on validation images.",
        ),
        tuple(f"{search.model}: {_told(search)}" for search in found),
    )


def _told(search: Search) -> str:
    total = len(search.tried)
    failed = f", {search.failed} of them without a score" if search.failed else ""
    steps = dict.fromkeys((1, min(5, total), total))
    each = [f"{number(search.expected(k)[0])} for {k}" for k in steps]
    return f"{', '.join(each)} of {total} configurations{failed}; chosen: {search.chosen.label}"
