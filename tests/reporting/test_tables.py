"""Tables: intervals with known answers, the best mark, n/a, counts, and what may share a row."""

import math
import re
from dataclasses import replace

import pytest
import scipy.stats

from gen_models.records import Anchor
from gen_models.reporting import words
from gen_models.reporting.costs import cost_table
from gen_models.reporting.estimates import Estimate, number, over_seeds
from gen_models.reporting.tables import measurement_table, run_table


def best(table) -> list[list[bool]]:
    return [[cell.best for cell in row.cells] for row in table.rows]


@pytest.mark.parametrize("values", [[1.0, 2.0], [3.1, 2.9, 3.4], [0.1, 0.2, 0.4, -5.0, 7.0]])
def test_the_interval_over_seeds_is_students(values):
    low, high = scipy.stats.t.interval(
        0.95, len(values) - 1, scipy.stats.tmean(values), scipy.stats.sem(values)
    )
    estimate = over_seeds(values)
    assert math.isclose(estimate.value, scipy.stats.tmean(values), rel_tol=1e-12)
    assert math.isclose(estimate.low, low, rel_tol=1e-9)
    assert math.isclose(estimate.high, high, rel_tol=1e-9)
    assert estimate.basis == f"over {len(values)} seeds"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.1, "1.100"), (0.0, "0"), (-0.5, "-0.5000"), (999.96, "1,000"), (1e-9, "1.000e-09")],
)
def test_numbers_have_four_digits(value, text):
    assert number(value) == text


def test_a_group_prints_mean_and_interval_over_its_seeds(record, value, groups):
    table = measurement_table(groups(*(record("vae", s, value(float(s))) for s in (1, 2, 3))))
    assert table.rows[0].cells[0].text == "2.000 [0, 4.484]"
    assert "over 3 seeds" in table.caption


def test_a_single_seed_keeps_its_own_interval_and_says_so(record, value, groups):
    table = measurement_table(groups(record("vae", 0, value(1.25))))
    assert table.rows[0].cells[0].text == "1.250 [1.150, 1.350]"
    assert "over samples" in table.caption
    assert words.findings(["vae"], table) == []
    assert "another seed may differ" in words.caution(table)[0]


def test_what_seeds_share_is_said_to_be_in_no_interval_over_them(record, value, groups):
    seeds = measurement_table(groups(*(record("vae", s, value(1.0 + s)) for s in (0, 1))))
    (told,) = words.caution(seeds)
    assert told.startswith("Seeds share the test images")
    mixed = measurement_table(groups(record("gan", 0), record("vae", 0), record("vae", 1)))
    assert told in words.caution(mixed)


def test_an_interval_over_seeds_ends_where_its_numbers_do(record, value, groups):
    name = "coverage_k5_digits64_9_test"
    runs = [record("vae", s, value(x, name, better="higher")) for s, x in enumerate((0.9, 0.5))]
    (row,) = measurement_table(groups(*runs)).rows
    assert row.cells[0].text == "0.7000 [0, 1]"


def test_mixed_bases_are_said_in_each_cell(record, value, groups):
    made = groups(record("vae", 0), record("gan", 0), record("gan", 1, value(1.5)))
    cells = measurement_table(made).rows[0].cells
    assert (cells[0].notes, cells[1].notes) == (("over samples",), ("over 2 seeds",))


@pytest.mark.parametrize(
    ("better", "marks"), [("lower", [True, False]), ("higher", [False, True]), (None, [False] * 2)]
)
def test_the_best_is_marked_where_the_test_is_decided(record, value, groups, better, marks):
    given = {"better": better, "error": 0.05}
    made = groups(record("vae", 0, value(1.0, **given)), record("gan", 0, value(2.0, **given)))
    assert best(measurement_table(made)) == [[*marks, False, False, False]]


def test_intervals_that_overlap_may_still_be_told_apart(record, value, groups):
    """3 errors apart: the 95 % intervals touch from 3.9 on, a test has its p of 0.05 at 2.8."""
    made = groups(
        record("vae", 0, value(1.0, low=0.804, high=1.196, error=0.1)),
        record("gan", 0, value(1.3, low=1.104, high=1.496, error=0.1)),
    )
    table = measurement_table(made)
    assert best(table) == [[True, False, False, False, False]]
    assert table.rows[0].cells[2].text == "p = 0.034"


def test_no_mark_where_one_other_model_is_close(record, value, groups):
    made = groups(
        record("vae", 0, value(1.1, error=0.1)),
        record("gan", 0, value(1.35, error=0.1)),
        record("ppca", 0, value(9.0, error=0.1)),
    )
    labels, table = ["vae", "gan", "ppca"], measurement_table(made)
    assert not any(map(any, best(table)))
    # Holm leaves the largest of three p as it is: 2 Phi(-0.25 / sqrt(0.02)) = 0.0771.
    told = "The tests allow no winner on Frechet distance (p = 0.077)."
    assert words.findings(labels, table) == [told]
    clear = groups(
        *(record(m, 0, value(v, error=0.1)) for m, v in (("a", 1.0), ("b", 2.0), ("c", 3.0)))
    )
    (sentence,) = words.findings(["a", "b", "c"], measurement_table(clear))
    assert sentence.startswith("a is best on Frechet distance")


def test_a_value_without_error_is_never_beaten_nor_best(record, value, groups):
    table = measurement_table(groups(record("vae", 0), record("gan", 0, value(5.0, error=0.1))))
    assert not any(map(any, best(table)))
    assert words.findings(["vae", "gan"], table) == [
        "No test without an error of each run, so no winner is named on Frechet distance."
    ]


def test_a_single_model_wins_nothing(record, groups):
    made = groups(record("vae", 0), record("gan", 0, status="failed", reason="out of memory"))
    table = measurement_table(made)
    assert not any(map(any, best(table)))
    assert table.rows[0].cells[1].text == "n/a: no finished run (1 did not finish)"


def test_not_applicable_keeps_its_reason(record, value, groups):
    absent = value(None, reason="GAN has no encoder (does not satisfy Reconstructs)")
    table = measurement_table(groups(record("vae", 0), record("gan", 0, absent)))
    cell = table.rows[0].cells[1]
    assert cell.text == "n/a: GAN has no encoder (does not satisfy Reconstructs)"
    assert cell.missing
    assert "Measured for vae alone: Frechet distance." in words.findings(["vae", "gan"], table)
    assert run_table(record("gan", 0, absent)).rows[0].cells[0] == cell


def test_seeds_without_the_value_are_counted(record, value, groups):
    made = groups(
        *(record("vae", s, value(float(s))) for s in (1, 2)), record("vae", 3, value(None))
    )
    cell = measurement_table(made).rows[0].cells[0]
    assert "1 of 3 runs n/a: no reason" in cell.notes
    assert cell.estimate.value == 1.5


def test_runs_that_did_not_finish_are_counted_and_not_averaged(record, value, groups):
    (group,) = groups(
        record("vae", 0, value(1.0)),
        record("vae", 1, value(2.0)),
        record("vae", 2, value(1000.0), status="diverged", reason="loss is NaN"),
    )
    table = measurement_table([group])
    assert table.rows[0].cells[0].estimate.value == 1.5
    assert table.columns[1].notes == ("2 of 3 runs finished",)


def test_protocols_never_share_a_row(record, value, groups):
    made = groups(
        record("vae", 0, value(1.0)), record("gan", 0, value(9.0, "fid_random_1000_test"))
    )
    table = measurement_table(made)
    assert [row.head.notes[-1] for row in table.rows] == [
        "fid_digits64_1000_test",
        "fid_random_1000_test",
    ]
    assert [[bool(cell.estimate) for cell in row.cells[:2]] for row in table.rows] == [
        [True, False],
        [False, True],
    ]
    assert not any(map(any, best(table)))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"unit": "squared feature units of others"}, "unit"),
        ({"protocol": "other"}, "protocol"),
        ({"better": "higher"}, "direction"),
        ({"count": 500}, "sample count"),
    ],
)
def test_one_name_with_two_meanings_is_not_compared(record, value, groups, change, what):
    made = groups(record("vae", 0, value(1.0)), record("gan", 0, value(9.0, **change)))
    table = measurement_table(made)
    assert not any(map(any, best(table)))
    assert f"not compared: the runs differ in {what}" in table.rows[0].head.notes
    told = f"The runs differ in {what}, so nothing is compared on Frechet distance."
    assert words.findings(["vae", "gan"], table) == [told]
    made = groups(record("vae", 0, value(1.0)), record("vae", 1, value(9.0, **change)))
    assert measurement_table(made).rows[0].cells[0].text == f"n/a: the seeds differ in {what}"


def test_what_most_have_is_compared_and_the_rest_is_set_apart(record, value, groups):
    made = groups(
        *(record("vae", seed, value(x, error=0.1)) for seed, x in enumerate((1.0, 1.2))),
        record("vae", 2, value(50.0, error=0.1, count=500)),
        *(record("gan", seed, value(x, error=0.1)) for seed, x in enumerate((9.0, 9.4))),
        *(record("pca", seed, value(0.1, error=0.1, count=7)) for seed in (0, 1)),
    )
    (row,) = measurement_table(made).rows
    vae, gan, pca, *_ = row.cells
    assert vae.estimate.value == 1.1
    assert "1 of 3 runs n/a: sample count 500 instead of 1,000" in vae.notes
    assert row.contest.ranking == ("vae", "gan")
    assert "not compared" not in " ".join((*row.head.notes, *vae.notes, *gan.notes))
    assert pca.estimate.value == 0.1
    assert pca.notes[-1] == pca.brief.split(" · ")[-1]
    assert pca.notes[-1] == "not compared: sample count 7 instead of 1,000"


def test_floor_and_ceiling_have_columns_and_ranges(record, value, groups):
    made = groups(
        record("vae", 0, value(1.0, floor=Anchor(0.5, "real"))),
        record("vae", 1, value(1.0, floor=Anchor(0.25, "real"))),
    )
    table = measurement_table(made)
    floor, ceiling = table.rows[0].cells[-2:]
    assert (floor.text, floor.notes) == ("0.2500 to 0.5000", ("real",))
    assert (ceiling.text, ceiling.notes) == ("99.00", ("uniform noise",))


def test_positions_between_floor_and_ceiling(record, value, groups):
    ends = {"floor": Anchor(0.0, "real"), "ceiling": Anchor(10.0, "noise")}
    made = groups(record("vae", 0, value(2.5, **ends)), record("gan", 0, value(12.0, **ends)))
    assert words.positions(["vae", "gan"], measurement_table(made)) == [
        "The way from floor (0 %) to ceiling (100 %): Frechet distance (vae 25 %, gan 120 %).",
        "No better than the trivial model: gan on Frechet distance.",
    ]


@pytest.mark.parametrize(("seeds", "named"), [((1.0, 2.0, 13.0), 0), ((12.0, 12.5, 13.0), 1)])
def test_a_model_is_past_the_ceiling_with_its_whole_interval(record, value, groups, seeds, named):
    ends = {"floor": Anchor(0.0, "real"), "ceiling": Anchor(5.0, "noise")}
    made = groups(*(record("gan", s, value(x, **ends)) for s, x in enumerate(seeds)))
    told = words.positions(["gan"], measurement_table(made))
    assert told[1:] == ["No better than the trivial model: gan on Frechet distance."] * named


def test_floor_and_ceiling_of_another_protocol_are_no_ruler(record, value, groups):
    ends = {"floor": Anchor(0.0, "real"), "ceiling": Anchor(10.0, "noise")}
    other = {"floor": Anchor(60.0, "real"), "ceiling": Anchor(100.0, "noise"), "count": 7}
    made = groups(
        record("vae", 0, value(2.5, **ends)),
        record("gan", 0, value(5.0, **ends)),
        record("pca", 0, value(80.0, **other)),
    )
    (ways,) = words.positions(["vae", "gan", "pca"], measurement_table(made))
    assert ways.endswith("Frechet distance (vae 25 %, gan 50 %, pca 50 %).")


def test_costs_stand_beside_the_measurements(record, groups):
    made = groups(record("vae", 0), record("vae", 1), record("gan", 0, parameters={"critic": 7}))
    rows = {row.head.text: [cell.text for cell in row.cells] for row in cost_table(made).rows}
    assert rows["Images seen"] == ["200,000", "200,000"]
    assert rows["Parameters, generator"] == ["123,456", "none"]
    assert rows["Parameters, critic"] == ["none", "7"]
    low, high = scipy.stats.t.interval(0.95, 1, 40.6, scipy.stats.sem([40.1, 41.1]))
    assert rows["Training, seconds"][0] == str(Estimate(40.6, low, high))


def test_unequal_budgets_are_said(record, groups):
    short = replace(record("gan"), budget=replace(record().budget, images_seen=100))
    made = groups(record("vae"), short)
    assert words.fairness(made, cost_table(made)) == (
        ["Equal for all models: parameters, generator (123,456)."],
        ["Not equal, so compare with care: images seen (vae 200,000 and gan 100)."],
    )


def test_every_number_of_the_run_table_is_in_the_record(record, value):
    made = record("vae", 0, value(1.23456), value(0.00321, "mse", low=0.0030, high=0.0034))
    known = {
        number(n)
        for v in made.values
        for n in (v.value, v.low, v.high, v.count, v.floor.value, v.ceiling.value)
    }
    for row in run_table(made).rows:
        shown = [n for i in (0, 1, 3, 4, 5) for n in re.findall(r"[\d.,]*\d", row.cells[i].text)]
        assert len(shown) == 6
        assert set(shown) <= known


def test_runs_of_different_code_or_machine_are_said(record, groups):
    made = groups(record("vae"), record("gan", commit="def456", hardware={"device": "cuda"}))
    commits, devices = words.origins(made)
    assert commits == "The runs come from different commits: abc123 and def456."
    assert "different devices (cpu and cuda)" in devices
    assert words.origins(made[:1]) == []
