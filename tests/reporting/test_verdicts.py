"""Verdicts: the p values of scipy.stats on the same numbers, and what must not be compared."""

from itertools import product

import numpy as np
import pytest
import scipy.stats
from scipy.stats import mannwhitneyu, ttest_ind, ttest_rel

from gen_models.errors import UsageError
from gen_models.reporting import words
from gen_models.reporting.contests import contest, holm
from gen_models.reporting.tables import measurement_table
from gen_models.reporting.verdicts import ONE_TRAINING, verdict

SEEDS = [2, 3, 5]


@pytest.fixture
def runs(value):
    """Values by seed of one model: numbers, seeds (0, 1, ... if None) and changes."""

    def make(numbers, seeds=None, **changes):
        seeds = range(len(numbers)) if seeds is None else seeds
        return {s: value(float(x), **changes) for s, x in zip(seeds, numbers, strict=True)}

    return make


@pytest.fixture
def draws():
    """Standard normal numbers, always the same, the second sample apart from the first by 1."""
    generator = np.random.default_rng(3)
    return lambda n, m: (generator.normal(size=n), 1 + generator.normal(size=m))


@pytest.mark.parametrize("count", SEEDS)
def test_the_same_seeds_are_paired(runs, draws, count):
    a, b = draws(count, count)
    found = verdict(runs(a), runs(b))
    assert found.p == pytest.approx(ttest_rel(a, b).pvalue, rel=1e-9)
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert found.test == f"paired t over {count} seeds"


def test_pairs_are_joined_by_seed_and_not_by_place(runs):
    a, b = runs([1.0, 2.0, 4.0], [0, 1, 2]), runs([4.5, 1.2, 2.1], [2, 0, 1])
    assert verdict(a, b).p == pytest.approx(ttest_rel([1, 2, 4], [1.2, 2.1, 4.5]).pvalue, rel=1e-9)


@pytest.mark.parametrize(("n", "m"), list(product(SEEDS, SEEDS)))
def test_other_seeds_are_welchs(runs, draws, n, m):
    a, b = draws(n, m)
    found = verdict(runs(a), runs(b, range(10, 10 + m)))
    assert found.p == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue, rel=1e-9)
    assert found.test == f"Welch's t over {n} and {m} seeds"


@pytest.mark.parametrize("scale", [1e80, 1e-80])
def test_the_unit_of_numbers_moves_no_p(runs, draws, scale):
    """A model that diverged may score 1e80, and its comparison must still be written."""
    a, b = draws(2, 3)
    found = verdict(runs(scale * a), runs(scale * b, [7, 8, 9]))
    assert found.p == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue, rel=1e-9)


def test_the_seeds_choose_the_test_and_never_the_smaller_p(runs):
    """Seeds that share little make pairing the dearer test: with the same seeds it is paid."""
    a, b = [1.0, 1.1, 1.2], [1.6, 1.4, 1.5]
    paired, welch = verdict(runs(a), runs(b)), verdict(runs(a), runs(b, [7, 8, 9]))
    assert paired.p > 0.05 > welch.p
    shared = verdict(runs([1.0, 5.0, 9.0]), runs([1.5, 5.6, 9.4]))
    apart = verdict(runs([1.0, 5.0, 9.0]), runs([1.5, 5.6, 9.4], [7, 8, 9]))
    assert shared.p < 0.05 < apart.p


def test_under_equal_models_a_verdict_errs_at_its_level(runs):
    """4000 pairs of equal models at 3 seeds: 5 % of them are decided, within 3 standard errors."""
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(4000, 2, 3))
    share = np.mean([verdict(runs(a), runs(b)).decided for a, b in numbers])
    assert abs(share - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 4000)


def test_one_run_of_each_is_judged_by_the_errors_within(runs, record, value, groups):
    found = verdict(runs([1.0], error=0.3), runs([2.0], error=0.4))
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(1.0 / 0.5), rel=1e-12)
    assert found.test == ONE_TRAINING
    made = groups(record("vae", 0, value(1.0, error=0.1)), record("gan", 0, value(2.0, error=0.1)))
    table = measurement_table(made)
    assert words.findings(["vae", "gan"], table)[0].startswith("vae is better on")
    assert "tests over samples hold one training" in words.caution(table)[0]


@pytest.mark.parametrize(
    ("a", "b", "lacking"),
    [
        (([1.0], [0], {}), ([2.0], [0], {"error": 0.1}), "without an error of each run"),
        (([1.0], [0], {"error": 0.1}), ([2.0, 2.1], [0, 1], {}), "with one run against several"),
        (([1.0, 1.0], [0, 1], {}), ([2.0, 2.0], [0, 1], {}), "without a spread"),
        (([0.1, 0.2], [0, 1], {}), ([0.4, 0.5], [0, 1], {}), "without a spread"),
        (([1.0, 1.0], [0, 1], {}), ([2.0, 2.0], [2, 3], {}), "without a spread"),
        (([1.0], [0], {"error": 0.0}), ([2.0], [0], {"error": 0.0}), "without a spread"),
    ],
)
def test_no_test_is_said_and_not_made_up(runs, a, b, lacking):
    """A division by zero, or by the rounding of one, would name a winner for certain."""
    first, second = (runs(numbers, seeds, **changes) for numbers, seeds, changes in (a, b))
    found = verdict(first, second)
    assert (found.p, found.test, found.decided) == (None, lacking, False)


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_superiority_is_the_share_of_pairs(runs, better):
    a, b = [1.0, 2.0, 3.0], [2.0, 2.5, 9.0, 0.5]
    # Mann and Whitney's U counts the pairs where the first is larger, ties half.
    larger = mannwhitneyu(a, b).statistic / 12
    found = verdict(runs(a, better=better), runs(b, better=better))
    assert found.superiority == pytest.approx(larger if better == "higher" else 1 - larger)
    assert verdict(runs(a, better=None), runs(b, better=None)).superiority is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "fid_digits64_500_test"}, "name fid_digits64_1000_test against fid_digits64_500"),
        ({"extractor": "random128"}, "extractor None against random128"),
        ({"count": 500}, "sample count 1000 against 500"),
        ({"unit": "nats"}, "unit squared feature units against nats"),
        ({"better": "higher"}, "direction lower against higher"),
        ({"protocol": "validation"}, "protocol Features of .* against validation"),
    ],
)
def test_other_protocols_are_refused_by_name(runs, change, named):
    with pytest.raises(UsageError, match=named) as caught:
        verdict(runs([1.0, 2.0]), runs([1.0, 2.0], **change))
    assert "\n" not in str(caught.value)


def test_holm_is_the_step_down_of_the_paper():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([None]) == [None]


def test_holm_holds_the_level_over_the_pairs_of_a_row(runs):
    """2000 rows of three equal models: at most 5 % name any difference, and not far fewer."""
    generator = np.random.default_rng(1)
    errors = [
        any(
            found.decided
            for found in contest(
                {label: runs(x) for label, x in zip("abc", numbers, strict=True)}
            ).pairs.values()
        )
        for numbers in generator.normal(size=(2000, 3, 5))
    ]
    assert 0.03 < np.mean(errors) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize(
    ("better", "ranking"), [("lower", ("b", "a", "c")), ("higher", ("c", "a", "b"))]
)
def test_a_contest_ranks_and_its_winner_beats_every_other(runs, better, ranking):
    models = {
        "a": runs([2.0, 2.1, 2.05], better=better),
        "b": runs([1.0, 1.2, 1.1], better=better),
        "c": runs([9.0, 9.3, 9.1], better=better),
    }
    found = contest(models)
    assert (found.ranking, found.winner) == (ranking, ranking[0])
    assert found.p == max(verdict.p for verdict in found.leading.values())
    models["a" if better == "lower" else "b"] = models[ranking[0]]
    assert contest(models).winner is None


def test_many_rows_at_once_want_caution(record, value, groups):
    def made(count):
        return measurement_table(
            groups(
                *(
                    record(model, 0, *(value(x, f"v{i}", error=0.1) for i in range(count)))
                    for model, x in (("vae", 1.0), ("gan", 2.0))
                )
            )
        )

    assert len(words.caution(made(9))) == 1
    told = words.caution(made(40))[1]
    assert told.startswith("40 rows are tested at once")
    assert "up to about 2.0 of them" in told
    assert "found there: 40" in told
