"""Bands over seeds by known answers, where seeds share a grid and where they do not."""

import math

import numpy as np
import pytest

from gen_models.records import Curve
from gen_models.reporting.bands import POINTS, band, best, first, last, thin
from gen_models.reporting.estimates import over_seeds


def curve(values, images=None, seconds=()):
    images = tuple(range(len(values))) if images is None else images
    return Curve("score", tuple(images), tuple(values), tuple(seconds))


def test_a_band_is_students_interval_at_each_point():
    seeds = [curve((1.0, 4.0)), curve((2.0, 4.0)), curve((3.0, 7.0))]
    found = band(seeds, "images")
    assert found.x == (0.0, 1.0)
    assert found.mean == (2.0, 5.0)
    # The quantile of 2 degrees of freedom is 4.3027, the standard error 1/sqrt(3) and 1.
    assert found.low == pytest.approx((2 - 4.3027 / math.sqrt(3), 5 - 4.3027), abs=1e-4)
    assert found.high == pytest.approx((2 + 4.3027 / math.sqrt(3), 5 + 4.3027), abs=1e-4)
    assert (found.low[1], found.high[1]) == (
        over_seeds([4.0, 4.0, 7.0]).low,
        over_seeds([4.0, 4.0, 7.0]).high,
    )
    assert not found.interpolated


def test_fewer_than_three_seeds_have_no_band():
    assert band([curve((1.0, 2.0))] * 2, "images") is None
    assert band([curve((1.0, 2.0))] * 3, "images") is not None


def test_seeds_of_other_grids_are_interpolated_within_their_common_range():
    seeds = [
        curve((0.0, 10.0), (0, 9), (0.0, 10.0)),
        curve((4.0, 12.0), (0, 9), (2.0, 6.0)),
        curve((0.0, 6.0, 6.0), (0, 5, 9), (1.0, 3.0, 9.0)),
    ]
    found = band(seeds, "seconds")
    assert found.interpolated
    assert found.x == (2.0, 3.0, 6.0)
    # By hand: 2, 4, 3 at two seconds; 3, 6, 6 at three; 6, 12, 6 at six.
    assert found.mean == pytest.approx((3.0, 5.0, 8.0))
    assert found.low[0] == pytest.approx(over_seeds([2.0, 4.0, 3.0]).low)
    assert found.high[2] == pytest.approx(over_seeds([6.0, 12.0, 6.0]).high)
    assert [band(seeds[:1] * 3, axis).interpolated for axis in ("images", "seconds")] == [False] * 2


def test_straight_lines_stay_straight_on_many_points():
    times = [np.linspace(0, end, 100) for end in (10.0, 11.0, 12.0)]
    seeds = [curve(tuple(k * t), seconds=tuple(t)) for k, t in zip((1, 2, 3), times, strict=True)]
    found = band(seeds, "seconds")
    assert len(found.x) <= POINTS
    assert found.x[0] == 0
    assert found.x[-1] <= 10
    assert found.mean == pytest.approx([2 * x for x in found.x])


def test_a_gap_of_one_seed_is_a_gap_of_the_band():
    seeds = [curve((1.0, 2.0, 3.0)), curve((1.0, None, 3.0)), curve((1.0, 2.0, 3.0))]
    found = band(seeds, "images")
    assert [math.isnan(value) for value in found.mean] == [False, True, False]
    assert [math.isnan(value) for value in found.low] == [False, True, False]
    assert [math.isnan(value) for value in found.high] == [False, True, False]


def test_seeds_that_never_meet_have_no_band():
    seeds = [curve((1.0, 1.0), (start, start + 1)) for start in (0, 10, 20)]
    assert band(seeds, "images") is None


def test_the_ends_of_a_curve():
    found = curve((None, 3.0, 1.0, 1.0, 2.0, None))
    assert (first(found), best(found), last(found)) == (1, 2, 4)
    nothing = curve((None, None))
    assert (first(nothing), best(nothing), last(nothing)) == (None, None, None)


def test_a_long_curve_is_drawn_through_means_of_its_neighbours():
    long = curve([i % 5 for i in range(1000)], seconds=[i / 2 for i in range(1000)])
    drawn = thin(long)
    assert len(drawn.images) == POINTS == 50
    assert set(drawn.values) == {2.0}
    assert (drawn.images[0], drawn.images[-1]) == (19, 999)
    assert (drawn.seconds[0], drawn.seconds[-1]) == (9.5, 499.5)
    uneven = thin(curve([1.0] * 50 + [3.0, 5.0, None]))
    assert uneven.values[-2:] == (4.0, None)
    short = curve((1.0, None))
    assert thin(short) == short
