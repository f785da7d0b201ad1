"""Precision-recall curves of distributions whose curve is known."""

import math

import numpy as np
import pytest
import torch

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.curves import (
    Curve,
    curve_of_shares,
    f_scores,
    precision_recall_curve,
)


def shares(*values):
    return torch.tensor(values, dtype=torch.float64)


def blobs(counts, seed=0, dimension=3):
    """Features around places that are far from each other, so many at each."""
    generator = torch.Generator().manual_seed(seed)
    places = 100 * torch.eye(max(len(counts), dimension))[:, :dimension]
    return torch.cat(
        [
            p + torch.randn(n, dimension, generator=generator)
            for p, n in zip(places, counts, strict=False)
        ]
    )


def test_no_overlap():
    precision, recall = curve_of_shares(real=shares(1, 0), fake=shares(0, 1))
    assert precision.max() == recall.max() == 0
    assert f_scores(Curve(precision, recall)) == (0, 0)


def test_perfect_overlap():
    curve = curve_of_shares(real=shares(0.3, 0.7), fake=shares(0.3, 0.7))
    middle = len(curve.precision) // 2
    assert curve.precision[middle].item() == pytest.approx(1, rel=1e-12)
    assert curve.recall[middle].item() == pytest.approx(1, rel=1e-12)
    assert f_scores(curve) == pytest.approx((1, 1), rel=1e-12)


def test_half_of_the_samples_are_real():
    curve = curve_of_shares(real=shares(1, 0), fake=shares(0.5, 0.5))
    assert curve.precision.max().item() == pytest.approx(0.5)
    assert curve.recall.max().item() == pytest.approx(1)
    # Precision 1/2 and recall 1 are reached together, at slope 1/2.
    expected = [65 * 0.5 / (64 * 0.5 + 1), (1 + 1 / 64) * 0.5 / (0.5 / 64 + 1)]
    assert f_scores(curve) == pytest.approx(expected, rel=1e-4)


def test_half_of_the_real_images_are_met():
    """The mirror image: precision and recall, and with them the two scores, change places."""
    curve = curve_of_shares(real=shares(0.5, 0.5), fake=shares(1, 0))
    mirror = curve_of_shares(real=shares(1, 0), fake=shares(0.5, 0.5))
    assert torch.allclose(curve.precision, mirror.recall.flip(0), atol=1e-12)
    assert f_scores(curve) == pytest.approx(f_scores(mirror)[::-1], rel=1e-12)


def test_half_overlap():
    curve = curve_of_shares(real=shares(0.5, 0.5, 0), fake=shares(0, 0.5, 0.5))
    assert curve.precision.max().item() == pytest.approx(0.5)
    assert curve.recall.max().item() == pytest.approx(0.5)


def test_the_formula_of_the_paper_point_by_point():
    p, q = np.array([0.1, 0.2, 0.7]), np.array([0.5, 0.25, 0.25])
    curve = curve_of_shares(real=torch.from_numpy(p), fake=torch.from_numpy(q), angles=9)
    for i in range(1, 8):
        slope = math.tan(i / 8 * math.pi / 2)
        alpha = sum(min(slope * a, b) for a, b in zip(p, q, strict=True))
        assert curve.precision[i].item() == pytest.approx(alpha, rel=1e-6)
        assert curve.recall[i].item() == pytest.approx(alpha / slope, rel=1e-6)


def test_features_that_do_not_overlap():
    curve = precision_recall_curve(real=blobs([200]), fake=blobs([0, 200]), runs=2)
    assert f_scores(curve) == pytest.approx((0, 0), abs=1e-6)


def test_the_same_features():
    curve = precision_recall_curve(real=blobs([100, 100]), fake=blobs([100, 100]))
    assert f_scores(curve) == pytest.approx((1, 1), rel=1e-12)


def test_a_lost_mode_costs_recall():
    curve = precision_recall_curve(real=blobs([200, 200]), fake=blobs([400], seed=1), clusters=2)
    assert curve.precision.max() == pytest.approx(1)
    assert curve.recall.max() == pytest.approx(0.5)
    recall_first, precision_first = f_scores(curve)
    assert recall_first < 0.52
    assert precision_first > 0.98


def test_an_invented_mode_costs_precision():
    curve = precision_recall_curve(real=blobs([400]), fake=blobs([200, 200], seed=1), clusters=2)
    assert curve.precision.max() == pytest.approx(0.5)
    assert curve.recall.max() == pytest.approx(1)


def test_a_larger_set_is_cut_to_a_random_subset():
    """Sorted by mode: the first rows alone would lose one."""
    few, many = blobs([100, 100]), blobs([1000, 1000], seed=1)
    for pair in ({"real": many, "fake": few}, {"real": few, "fake": many}):
        assert min(f_scores(precision_recall_curve(**pair, clusters=2))) > 0.9


def test_the_seed_says_all():
    state = torch.random.get_rng_state()
    pair = {"real": blobs([150, 60]), "fake": blobs([60, 150], seed=1)}
    first = precision_recall_curve(**pair, seed=3, runs=2)
    np.random.rand()
    torch.rand(1)
    again = precision_recall_curve(**pair, seed=3, runs=2)
    assert torch.equal(torch.stack(first), torch.stack(again))
    other = precision_recall_curve(**pair, seed=4, runs=2)
    assert not torch.equal(torch.stack(first), torch.stack(other))
    torch.random.set_rng_state(state)


def test_a_collapsed_generator_is_a_result():
    curve = precision_recall_curve(real=torch.zeros(30, 2), fake=torch.zeros(30, 2), runs=1)
    assert f_scores(curve) == pytest.approx((1, 1))


@pytest.mark.parametrize(
    ("real", "fake", "words"),
    [
        (torch.zeros(19, 2), torch.zeros(30, 2), "20 images or more, not 19"),
        (torch.zeros(30, 2), torch.zeros(30, 3), "same dimension"),
        (torch.zeros(30, 2), torch.full((30, 2), float("nan")), "finite"),
    ],
)
def test_mistakes_are_told_in_a_line(real, fake, words):
    with pytest.raises(UsageError, match=words):
        precision_recall_curve(real=real, fake=fake)
