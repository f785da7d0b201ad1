"""What a record keeps of a run's history."""

import math

import pytest

from gen_models.provenance import curves

SCORE = "validation/fid_digits64_1293_validation"


def history(values, name=SCORE):
    return [{"images": 10.0 * i, "seconds": 0.5 * i, name: v} for i, v in enumerate(values)]


@pytest.mark.parametrize("lowest", [0, 3, 502, 1000])
def test_a_thinned_score_keeps_the_point_of_the_best_checkpoint_and_the_last(lowest):
    values = [5.0] * 1001
    values[lowest] = 1.0
    (curve,) = curves(history(values), SCORE)
    assert len(curve.images) <= 202
    assert list(curve.images) == sorted(set(curve.images))
    assert curve.images[-1] == 10_000
    assert curve.images[curve.values.index(1.0)] == 10 * lowest
    assert curve.seconds[curve.values.index(1.0)] == 0.5 * lowest


def test_of_equal_scores_the_first_is_kept_and_of_others_none():
    values = [5.0] * 1001
    values[502] = values[503] = 1.0
    (curve,) = curves(history(values), SCORE)
    assert curve.images[curve.values.index(1.0)] == 5020
    (loss,) = curves(history(values, "train/loss"), SCORE)
    assert 1.0 not in loss.values


def test_a_score_that_is_not_finite_is_no_best_one():
    values = [math.nan, -math.inf, *[5.0] * 900, 2.0, *[5.0] * 99, math.nan]
    (curve,) = curves(history(values), SCORE)
    assert curve.values.count(2.0) == 1
    assert curve.values[-1] is None
    (lost,) = curves(history([math.nan] * 300), SCORE)
    assert set(lost.values) == {None}
