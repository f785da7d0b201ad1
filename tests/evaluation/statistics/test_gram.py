"""Triangles by Cholesky where that is exact, by QR where it is not."""

import pytest
import torch

from gen_models.evaluation.statistics.frechet import frechet_distance, frechet_estimate
from gen_models.evaluation.statistics.gram import gram_matrix, triangle_of
from gen_models.evaluation.statistics.moments import Moments

from .sets import drawn


def with_deviations(deviations, count=600, offset=0.5):
    """Features whose covariance has these roots of its eigenvalues, exactly, in random directions.

    Its eigenvectors are those of no feature; all deviations around the offset are of mean 0.
    """
    dimension = len(deviations)
    columns = torch.cat([torch.ones(count, 1).double(), drawn(count, dimension)], dim=1)
    noise = torch.linalg.qr(columns).Q[:, 1:] * (count - 1) ** 0.5
    basis = torch.linalg.qr(drawn(dimension, dimension, seed=1)).Q
    return (noise * deviations) @ basis + offset


def one_small(deviation, dimension=64):
    deviations = torch.ones(dimension).double()
    deviations[-1] = deviation
    return deviations


def falling(orders, dimension=64):
    return torch.logspace(0, -orders, dimension, dtype=torch.float64)


@pytest.fixture
def decompositions(monkeypatch):
    """Shapes of what has been decomposed by QR."""
    asked, qr = [], torch.linalg.qr

    def listening(rows, **options):
        asked.append(tuple(rows.shape))
        return qr(rows, **options)

    monkeypatch.setattr(torch.linalg, "qr", listening)
    return asked


@pytest.mark.parametrize("dimension", [1, 7, 8, 30])
def test_strips_make_the_lower_triangle(dimension):
    x = drawn(40, dimension)
    torch.testing.assert_close(gram_matrix(x, side=7).tril(), (x.T @ x).tril())


@pytest.mark.parametrize(
    ("rows", "by_qr"),
    [
        (drawn(100, 20), False),
        (drawn(21, 20), False),
        (drawn(100, 20) * falling(80, 20), False),  # no scale of a feature matters
        (with_deviations(falling(2.5), offset=0), False),
        (drawn(20, 20), True),
        (drawn(5, 20), True),
        (with_deviations(falling(5), offset=0), True),
        (with_deviations(one_small(1e-5), offset=0), True),
        (torch.nn.functional.pad(drawn(100, 20), (1, 1)), True),
        (drawn(100, 20).repeat(1, 2), True),
        (
            drawn(100, 1) * torch.tensor([1, 0.3]) * 1e20,
            True,
        ),  # a pivot below 0, large when squared
        (drawn(100, 20) * 1e160, True),  # squares overflow
    ],
)
def test_both_ways_give_the_triangle(decompositions, rows, by_qr):
    triangle = triangle_of(rows)
    assert decompositions == ([tuple(rows.shape)] if by_qr else [])
    assert torch.equal(triangle, triangle.triu())
    assert triangle.shape == (min(rows.shape), rows.shape[1])
    scale = rows.abs().amax(0) + (rows == 0).all(0)
    a, r = rows / scale, triangle / scale
    torch.testing.assert_close(r.T @ r, a.T @ a, rtol=0, atol=1e-12)


@pytest.mark.parametrize("offset", [0.5, 1000.0])
@pytest.mark.parametrize(
    "deviations",
    [falling(n) for n in (0, 1, 2, 3, 5, 8)] + [one_small(10.0**-n) for n in (1, 2, 3, 5, 7)],
)
def test_distance_to_a_standard_gaussian_is_known_for_ill_conditioned_features(deviations, offset):
    """|m|^2 + sum (s_i - 1)^2, where directions that hardly vary count as much as any other."""
    x = with_deviations(deviations, offset=offset)
    standard = Moments(torch.full((64,), offset).double(), torch.eye(64).double(), None)
    expected = (deviations - 1).square().sum().item()
    value = frechet_distance(standard, Moments.of(x))
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-12 * max(1, offset))


def test_distance_and_error_of_more_features_than_a_strip_has():
    """Fakes moved by x -> x + T x + shift, I + T positive: tr(T C T) + |shift|^2."""
    x = with_deviations(falling(1, 300), count=900)
    basis = torch.linalg.qr(drawn(300, 300, seed=2)).Q
    centred = x - x.mean(0)
    moved = centred @ (basis * torch.linspace(-0.3, 0.3, 300).double()) @ basis.T
    expected = (moved.square().sum() / 899 + 300 * 0.1**2).item()
    real, fake = Moments.of(x), x + moved + 0.1
    assert frechet_distance(real, Moments.of(fake)) == pytest.approx(expected, rel=1e-12)
    value, error = frechet_estimate(real=real, fake=fake)
    assert value == pytest.approx(expected, rel=1e-12)
    # The optimal map takes fakes back to where they came from.
    fake = centred + moved
    influence = 2 * 0.1 * fake.sum(1) + (fake * moved).sum(1)
    assert error == pytest.approx(influence.std().item() / 900**0.5, rel=1e-9)
