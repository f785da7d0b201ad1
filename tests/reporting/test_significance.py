"""The column of tests: what was tested, said once where it can be, and who is ahead of whom."""

import pytest
from scipy.stats import ttest_ind, ttest_rel

from gen_models.reporting.contests import holm
from gen_models.reporting.tables import measurement_table
from gen_models.reporting.verdicts import ONE_TRAINING, written


@pytest.fixture
def table(record, value, groups):
    """A table of models, each with its numbers by seed."""

    def make(**models):
        return measurement_table(
            groups(
                *(
                    record(model, seed, value(number, error=0.1))
                    for model, runs in models.items()
                    for seed, number in runs.items()
                )
            )
        )

    return make


def test_one_test_is_named_in_the_head(table):
    made = table(vae={0: 1.0, 1: 1.2}, gan={0: 2.0, 1: 2.1})
    assert made.columns[3].notes == ("paired t over 2 seeds", "two-sided")
    cell = made.rows[0].cells[2]
    assert cell.text == written(ttest_rel([1.0, 1.2], [2.0, 2.1]).pvalue)
    assert cell.notes == ("vae ahead in 100 % of pairs",)


def test_one_pair_of_runs_has_no_share_of_pairs(table):
    made = table(vae={0: 2.0}, gan={0: 1.0})
    assert made.columns[3].notes == (ONE_TRAINING, "two-sided")
    assert made.rows[0].cells[2].notes == ("gan ahead",)


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_models_of_one_number_are_level(record, value, groups, error):
    runs = [record(model, 0, value(0.5, error=error)) for model in ("vae", "gan", "wgan")]
    pair, three = (measurement_table(groups(*runs[:count])).rows[0] for count in (2, 3))
    test = () if error else ("without a spread",)
    assert pair.cells[2].notes == (", ".join(("vae level with gan", *test)),)
    test = test or ("p = 1.0",)
    assert three.cells[3].notes == tuple(
        ", ".join((f"vae level with {other}", *test)) for other in ("gan", "wgan")
    )


def test_one_pair_without_a_test_has_no_share_of_pairs(record, value, groups):
    (row,) = measurement_table(groups(record("vae"), record("gan", 0, value(2.0)))).rows
    assert row.cells[2].notes == ("vae ahead, without an error of each run",)


def test_several_tests_are_named_in_the_cells_and_corrected(table):
    a, b, c, d = (1.0, 1.1), (2.0, 2.2), (3.4, 3.9), (0.5, 0.6)
    seeds = {"a": (0, a), "b": (0, b), "c": (2, c), "d": (0, d)}
    made = table(**{label: dict(enumerate(x, first)) for label, (first, x) in seeds.items()})
    assert made.columns[5].notes == ("two-sided", "Holm's correction")
    welch = [ttest_ind(x, c, equal_var=False).pvalue for x in (d, a, b)]
    # d and a are apart by the same number at both seeds: nothing varies, nothing is tested.
    paired = [None, *(ttest_rel(x, b).pvalue for x in (d, a))]
    corrected = holm([*welch, *paired])
    cell = made.rows[0].cells[4]
    assert (cell.text, cell.missing) == ("none", True)
    assert cell.notes == (
        "d ahead of a in 100 % of pairs, without a spread",
        f"d ahead of b in 100 % of pairs, {written(corrected[4])}, paired t over 2 seeds",
        f"d ahead of c in 100 % of pairs, {written(corrected[0])}, Welch's t over 2 and 2 seeds",
    )


def test_one_model_has_no_column_of_tests(table):
    made = table(vae={0: 1.0})
    assert [column.text for column in made.columns] == ["Measurement", "vae", "Floor", "Ceiling"]


@pytest.mark.parametrize(
    ("p", "told"),
    [(0.0497, "p = 0.0497"), (0.04999, "p = 0.04999"), (0.0503, "p = 0.050"), (0.05, "p = 0.050")],
)
def test_a_rounded_p_stays_on_its_side_of_the_level(p, told):
    assert written(p) == told
