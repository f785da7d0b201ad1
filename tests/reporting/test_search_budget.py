"""The expected score of the best of k configurations against all subsets, written out."""

import re
from dataclasses import replace
from itertools import combinations
from statistics import fmean, pstdev

import pytest

from gen_models.records import Curve
from gen_models.reporting.estimates import number
from gen_models.reporting.report import find_runs, write_comparison
from gen_models.reporting.search_budget import Configuration, Search, bought, search_plots, searches

TRIED = (
    Configuration("", 3.0, 31.0),
    Configuration("", 1.0, 14.0),
    Configuration("", 2.0, 12.0),  # better on test than the one that validation prefers
    Configuration("", 9.0, 70.0),
    Configuration("", None, None),
    Configuration("", 5.0, 50.0),
)


@pytest.mark.parametrize("number", range(1, 7))
def test_the_expected_best_is_the_mean_over_all_subsets(number):
    chosen = []
    for subset in combinations(TRIED, number):
        scored = [one for one in subset if one.validation is not None]
        if scored:
            chosen.append(min(scored, key=lambda one: one.validation).test)
    mean, deviation = Search("gan", "fid", TRIED).expected(number)
    assert mean == pytest.approx(fmean(chosen), rel=1e-12)
    assert deviation == pytest.approx(pstdev(chosen), rel=1e-9, abs=1e-9)


def test_all_of_them_give_the_one_that_validation_prefers():
    assert Search("gan", "fid", TRIED).expected(6) == (14.0, 0.0)


@pytest.mark.parametrize("number", [0, 7])
def test_more_than_were_tried_cannot_be_drawn(number):
    with pytest.raises(ValueError, match="of 6 configurations, 5 with a score"):
        Search("gan", "fid", TRIED).expected(number)


def test_a_search_that_failed_throughout_has_no_expectation():
    failed = (Configuration("", None, None),) * 5
    search = Search("gan", "fid", failed)
    assert search.failed == 5
    with pytest.raises(ValueError, match="0 with a score"):
        search.expected(1)


SELECTION = "validation/fid_digits64_200_validation"


@pytest.fixture
def sweep(groups, record, value):
    """Groups of six configurations of a model, of which one run diverged; and one of another."""
    runs = []
    for rate, one in enumerate(TRIED):
        curve = Curve(SELECTION, (640, 1280), (0.0, one.validation))
        made = value(one.test, "fid_digits64_1293_test")
        ended = {"status": "diverged"} if one.test is None else {}
        config = {"model": {"lr": rate}, "seed": 0}
        changed = {"curves": (curve,), "selection": SELECTION, "config": config, **ended}
        runs.append(record("gan", 0, made, **changed))
    return groups(*runs, record("vae", 0))


def test_a_sweep_over_configurations_is_a_search(sweep):
    (search,) = searches(sweep)
    assert (search.model, search.value, search.failed) == ("gan", "fid_digits64_1293_test", 1)
    # By the last validation, not by the first, which is 0 for all.
    tried = [replace(one, label="") for one in search.tried]
    assert sorted(map(repr, tried)) == sorted(map(repr, TRIED))
    assert search.chosen.label == "gan (lr=1)"


def test_a_run_that_was_not_evaluated_is_one_without_a_score(groups, record, value):
    given = {"selection": SELECTION, "curves": (Curve(SELECTION, (640,), (3.0,)),)}
    fid, other = value(7.0, "fid_digits64_1293_test"), value(1.0, "other")
    runs = [
        record("gan", 0, fid if rate else other, config={"lr": rate}, **given) for rate in range(5)
    ]
    (search,) = searches(groups(*runs))
    assert (search.failed, search.value) == (1, fid.name)
    none = [record("gan", 0, other, config={"lr": rate}, **given) for rate in range(5)]
    assert searches(groups(*none)) == []


@pytest.mark.parametrize("curves", [(), (Curve(SELECTION, (), ()),)])
def test_a_run_without_its_score_is_one_that_failed(groups, record, value, curves):
    made = [value(7.0, name) for name in ("fid_digits64_2000_test", "fid_digits64_1293_test")]
    given = {"selection": SELECTION, "curves": (Curve(SELECTION, (640,), (3.0,)),)}
    runs = [
        record(
            "gan", 0, *made, config={"lr": rate}, **(given if rate else given | {"curves": curves})
        )
        for rate in range(5)
    ]
    (search,) = searches(groups(*runs))
    # Of two names as short as each other, always the same one.
    assert (search.failed, search.value) == (1, "fid_digits64_1293_test")


@pytest.fixture
def searched(groups, record, value):
    """Six configurations each of models: how many images count, and the lowest score."""

    def make(**models):
        return groups(
            *(
                record(
                    model,
                    0,
                    value(lowest + rate, f"fid_digits64_{count}_test"),
                    curves=(Curve(SELECTION, (640,), (1.0 + rate,)),),
                    selection=SELECTION,
                    config={"model": {"lr": rate}},
                )
                for model, (count, lowest) in models.items()
                for rate in range(6)
            )
        )

    return make


def test_only_scores_of_one_name_are_ranked(searched):
    """A distance from fewer images is larger, whatever the model."""
    clause, told = bought(searched(wgan=(200, 1.0), vae=(1293, 20.0), gan=(1293, 25.0)))
    assert clause == "vae is expected ahead with 1 configuration, as with 6"
    assert told[-1] == "Not ranked, because measured by another score: wgan."
    assert [line.partition(":")[0] for line in told[:-1]] == [
        "fid_digits64_200_test, wgan",
        "fid_digits64_1293_test, vae",
        "fid_digits64_1293_test, gan",
    ]
    clause, told = bought(searched(vae=(1293, 20.0), gan=(200, 25.0)))
    assert clause == (
        "vae and gan were searched, measured by different scores, and are not compared"
    )
    assert len(told) == 2


def test_the_figure_says_what_it_draws(sweep):
    (plot,) = search_plots(sweep)
    assert plot.told == (
        f"gan: {number(Search('gan', '', TRIED).expected(1)[0])} for 1,"
        f" {number(Search('gan', '', TRIED).expected(5)[0])} for 5, 14.00 for 6 of 6"
        " configurations, 1 of them without a score; chosen: gan (lr=1)",
    )


def test_seeds_are_no_configurations(groups, record):
    assert search_plots(groups(*(record("gan", seed) for seed in range(6)))) == []


def test_a_search_of_many_is_counted_and_not_named(tmp_path, run, record, value):
    for rate in range(14):
        made = value(1.0 + rate / 50, "fid_digits64_1293_test", aspect="distance", error=0.5)
        shares = [value(0.5, f"{name}_x", better="higher") for name in ("precision", "recall")]
        curve = Curve(SELECTION, (640, 1280), (2.0, 1.0 + rate))
        config = {"model": {"lr": rate}, "seed": 0}
        looked = {"curves": (curve,), "selection": SELECTION, "config": config}
        run(record("gan", 0, made, *shares, **looked))
    write_comparison(tmp_path, find_runs(tmp_path))
    told = (tmp_path / "report.md").read_text()
    assert "gan was searched." in told
    seconds = re.search(r"Seconds of training: .*", told)[0]
    assert seconds.count("gan (") == 3
    assert "and 11 others" in seconds
    assert "### Search" in told
    assert "Curves of 14 configurations fill no figure" in told
    assert "### Trade-offs" not in told
    assert "image/svg+xml" in (tmp_path / "report.html").read_text()
