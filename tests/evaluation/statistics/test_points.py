"""Points of a grid: distances that are exact, bounds that hold, neighbours that are the nearest."""

import pytest
import torch

from gen_models.evaluation.statistics.points import Points, full_precision, nearest
from gen_models.evaluation.statistics.selection import few_below, not_finite, smallest
from tests.evaluation.statistics.sets import HARD, drawn, squared


@pytest.mark.parametrize("name", HARD)
def test_bounds_are_below_the_distances_and_close(name):
    x, y = Points.of(real=HARD[name][0], fake=HARD[name][1])
    every = slice(None)
    with full_precision():
        bounds = x.bounds(every, y, every, x.products(every, y, every))
    missing = x.distances(every, y, every) - bounds
    assert (missing >= 0).all()
    most = 2.0**-23 * (x.whole.shape[1] + 8) * (x.squares[:, None] + y.squares)
    assert (missing <= most).all()


def test_where_bounds_leave_a_doubt_all_distances_are_exact(monkeypatch):
    """Points that are nearly alike, and far from the centre, are at bounds of noise alone."""
    asked = []

    def listening(points, rows, others, columns):
        asked.append(len(points.squares))
        return distances(points, rows, others, columns)

    distances = Points.distances
    monkeypatch.setattr(Points, "distances", listening)
    many, close = HARD["one image, nearly"]
    x, y = Points.of(real=many, fake=many[:250] + 0.1)
    nearest(y, x, 4)
    same = Points.of(real=torch.zeros(60, 24), fake=torch.ones(250, 24))[1]
    nearest(same, same, 4)
    assert not asked  # nothing is nearer than 0
    x, y = Points.of(real=torch.cat([many, close]), fake=torch.cat([close, many]))
    found = nearest(y, x, 4)
    assert set(asked) == {250}
    assert torch.equal(
        found.squares, distances(y, slice(None), x, slice(None)).sort().values[:, :4]
    )
    assert torch.equal(found.squares, nearest(y, x, 4, exact=True).squares)


@pytest.mark.parametrize("offset", [0.0, 10.0, 1000.0])
def test_float32_features_far_from_0_lose_nothing(offset):
    real, fake = ((drawn(60, 32, seed) + offset).float() for seed in (0, 1))
    x, y = Points.of(real=real, fake=fake)
    exact = squared(fake.double(), real.double()).sort().values[:, :3]
    torch.testing.assert_close(nearest(y, x, 3).squares * x.step**2, exact, rtol=1e-6, atol=0)


def test_distances_are_exact_where_they_are_largest():
    """Against Python's own integers, at the full length of the grid."""
    far = torch.full((3, 2048), 3.0) * torch.tensor([[1.0], [-1.0], [0.999]])
    x, y = Points.of(real=far + drawn(3, 2048), fake=-far)
    everything = slice(0, 3)
    distances = x.distances(everything, y, everything)
    three = torch.arange(3)
    assert torch.equal(x.distances_of(three, y, three.expand(3, 3)), distances)
    for i, a in enumerate(x.whole.tolist()):
        for j, b in enumerate(y.whole.tolist()):
            assert int(distances[i, j]) == sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
    assert 2**24 <= x.squares.max().sqrt() <= 2**25.01


@pytest.mark.parametrize("columns", [1, 40, 64, 95, 500])
def test_selection_by_groups_is_a_selection(columns):
    values = drawn(30, columns)
    found, where = smallest(values, 6)
    assert torch.equal(found.sort().values, values.sort().values[:, :6])
    assert torch.equal(values.gather(1, where), found)
    found, where = smallest(values.T.contiguous().T, 6)
    assert torch.equal(values.gather(1, where), found)
    assert torch.equal(found.sort().values, values.sort().values[:, :6])


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (32, 32), (50, 77)])
@pytest.mark.parametrize("shift", [-9.0, 0.0, 2.5, 9.0])
def test_few_below_are_all_that_are_not_above_0(shape, shift):
    values = drawn(*shape) + shift
    values[0, 0] = 0
    found = torch.zeros(shape, dtype=torch.bool)
    found[few_below(values)] = True
    assert torch.equal(found, values <= 0)


def test_rows_that_are_not_finite_are_found():
    values = drawn(9, 4)
    assert not_finite(values).tolist() == not_finite(values[:0]).tolist() == []
    values[7, 3], values[2, 0], values[4, 1] = float("nan"), float("inf"), -float("inf")
    assert not_finite(values).tolist() == [2, 4, 7]


def test_nearest_names_the_right_ones():
    real, fake = drawn(700), drawn(600, seed=1)
    x, y = Points.of(real=real, fake=fake)
    found = nearest(y, x, 3, block=128)
    assert torch.equal(found.indices, squared(fake, real).argsort()[:, :3])


@pytest.mark.parametrize("others", [1, 3, 5, 8])
def test_where_there_are_few_others_none_is_found_twice(others):
    x, y = Points.of(real=drawn(30), fake=drawn(others, seed=1))
    expected = x.distances(slice(None), y, slice(None)).sort().values[:, :4]
    squares = nearest(x, y, 4).squares
    assert torch.equal(squares[:, :others], expected)
    assert squares[:, others:].isinf().all()


def test_distinct_points_keep_their_order():
    features = drawn(5)[[3, 3, 1, 4, 1, 0]]
    points = Points.of(real=features, fake=features)[0]
    assert torch.equal(points.distinct().whole, points.whole[[0, 2, 3, 5]])
