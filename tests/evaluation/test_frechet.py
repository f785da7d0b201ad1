"""The distance against closed forms and against two public implementations."""

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from gen_models.errors import UsageError
from gen_models.evaluation.frechet import Moments, frechet_distance, frechet_standard_error


def exact(mean, covariance, count=1000):
    """Moments that are given and not estimated."""
    factor = torch.linalg.cholesky(covariance.double()).T
    return Moments(mean.double(), factor, count)


def random_covariance(dimension, condition, seed=0):
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(dimension, dimension, generator=generator).double()).Q
    return (basis * torch.logspace(0, -np.log10(condition), dimension).double()) @ basis.T


def features(count, dimension=16, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimension, dimension, generator=torch.Generator().manual_seed(99))
    return torch.randn(count, dimension, generator=generator) @ mixing + shift


def test_equal_covariances_leave_the_shift_of_the_means():
    covariance, shift = random_covariance(8, 100), torch.arange(8.0)
    value = frechet_distance(exact(torch.zeros(8), covariance), exact(shift, covariance))
    assert value == pytest.approx(shift.square().sum().item(), abs=1e-10)


def test_diagonal_covariances_leave_the_differences_of_the_deviations():
    a, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 0.5])
    zero = torch.zeros(3)
    value = frechet_distance(exact(zero, a.square().diag()), exact(zero, b.square().diag()))
    assert value == pytest.approx((a - b).square().sum().item(), abs=1e-10)


@pytest.mark.parametrize("condition", [1e4, 1e8])
def test_a_pair_that_does_not_commute_with_a_known_answer(condition):
    """S2 = T S1 T gives tr((I - T) S1 (I - T)), T symmetric and positive."""
    s1, t = random_covariance(64, condition), random_covariance(64, 10, seed=1)
    identity = torch.eye(64).double()
    expected = torch.trace((identity - t) @ s1 @ (identity - t)).item()
    real = Moments(torch.zeros(64).double(), torch.linalg.cholesky(s1).T, 100)
    fake = Moments(torch.zeros(64).double(), torch.linalg.cholesky(s1).T @ t, 100)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-10)


def test_a_constant_generator_costs_the_whole_spread():
    real = Moments.of(features(500))
    fake = Moments.of(torch.ones(50, 16))
    covariance = real.factor.T @ real.factor
    expected = torch.trace(covariance) + (real.mean - 1).square().sum()
    assert frechet_distance(real, fake) == pytest.approx(expected.item(), rel=1e-10)


def test_equal_sets_are_0_in_any_order_and_offset_does_not_matter():
    x = features(300).double()
    assert frechet_distance(Moments.of(x), Moments.of(x.flip(0))) == pytest.approx(0, abs=1e-9)
    y = features(200, seed=3).double()
    plain = frechet_distance(Moments.of(x), Moments.of(y))
    moved = frechet_distance(Moments.of(x + 1000), Moments.of(y + 1000))
    assert moved == pytest.approx(plain, rel=1e-8)


def test_rotation_changes_nothing_and_scale_squares():
    x, y = features(300).double(), features(200, seed=3, shift=0.4).double()
    rotation = torch.linalg.qr(torch.randn(16, 16).double()).Q
    plain = frechet_distance(Moments.of(x), Moments.of(y))
    rotated = frechet_distance(Moments.of(x @ rotation), Moments.of(y @ rotation))
    scaled = frechet_distance(Moments.of(3 * x), Moments.of(3 * y))
    assert rotated == pytest.approx(plain, rel=1e-9)
    assert scaled == pytest.approx(9 * plain, rel=1e-9)


def test_fewer_images_than_features_and_dead_features():
    x, y = features(40, 64).double(), features(30, 64, seed=3).double()
    x[:, :10] = y[:, :10] = 0
    covariances = [torch.from_numpy(np.cov(v.T.numpy())) for v in (x, y)]
    root = torch.linalg.eigh(covariances[0])
    half = (root.eigenvectors * root.eigenvalues.clamp_min(0).sqrt()) @ root.eigenvectors.T
    inner = torch.linalg.eigvalsh(half @ covariances[1] @ half).clamp_min(0).sqrt().sum()
    shift = (x.mean(0) - y.mean(0)).square().sum()
    expected = shift + sum(torch.trace(c) for c in covariances) - 2 * inner
    value = frechet_distance(Moments.of(x), Moments.of(y))
    assert value == pytest.approx(expected.item(), rel=1e-6)


class Identity(torch.nn.Module):
    """Takes features for images."""

    num_features = 16

    def forward(self, x):
        return x.reshape(len(x), -1)[:, :16]


@pytest.mark.filterwarnings("ignore")
def test_torchmetrics_and_torch_fidelity_give_the_same_number():
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    real, fake = features(400), features(300, seed=7, shift=0.3)
    mine = frechet_distance(Moments.of(real), Moments.of(fake))
    metric = FrechetInceptionDistance(feature=Identity(), input_img_size=(1, 4, 4))
    metric.update(real.reshape(-1, 1, 4, 4), real=True)
    metric.update(fake.reshape(-1, 1, 4, 4), real=False)
    assert mine == pytest.approx(metric.compute().item(), rel=1e-4)
    statistics = [fid_features_to_statistics(x.double()) for x in (real, fake)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)
    assert mine == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_standard_error_agrees_with_redraws(shift):
    real = Moments.of(features(20_000, 6))
    draws = [features(500, 6, seed=s, shift=shift) * 1.2 for s in range(10, 130)]
    distances = torch.tensor([frechet_distance(real, Moments.of(x)) for x in draws])
    errors = torch.tensor([frechet_standard_error(real, x) for x in draws[:20]])
    assert 0.8 < errors.mean() / distances.std() < 1.25


def test_bad_features_are_named():
    broken = features(5)
    broken[3, 2] = float("nan")
    with pytest.raises(UsageError, match="image 3"):
        Moments.of(broken)
    with pytest.raises(UsageError, match="2 images or more"):
        Moments.of(features(1))
    with pytest.raises(UsageError, match="16 and 8"):
        frechet_distance(Moments.of(features(5)), Moments.of(features(5, 8)))
