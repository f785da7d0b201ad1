"""The distance against closed forms and against two public implementations."""

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.frechet import (
    Moments,
    frechet_distance,
    frechet_estimate,
    frechet_standard_error,
    frechet_unbiased,
)


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


@pytest.mark.parametrize("dead", [0, 10])
@pytest.mark.parametrize("condition", [1e4, 1e6, 1e8])
def test_a_pair_that_does_not_commute_with_a_known_answer(condition, dead):
    """S2 = T S1 T gives tr((I - T) S1 (I - T)), T symmetric and positive."""
    s1, t = random_covariance(64, condition), random_covariance(64, 10, seed=1)
    identity = torch.eye(64).double()
    expected = torch.trace((identity - t) @ s1 @ (identity - t)).item()
    pad = torch.nn.functional.pad
    factor = torch.linalg.cholesky(s1).T
    zero = torch.zeros(64 + dead).double()
    real, fake = (Moments(zero, pad(f, (dead, 0)), 100) for f in (factor, factor @ t))
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-11)
    # From covariances: Cholesky, or eigenvalues where dead units leave it no way.
    given = [Moments.from_covariance(zero, pad(c, (dead, 0, dead, 0))) for c in (s1, t @ s1 @ t)]
    rel = 1e-11 if dead == 0 else condition * 1e-14
    assert frechet_distance(*given) == pytest.approx(expected, rel=rel)


def test_a_constant_generator_costs_the_whole_spread():
    real = Moments.of(features(500))
    fake = Moments.of(torch.ones(50, 16))
    covariance = real.factor.T @ real.factor
    expected = torch.trace(covariance) + (real.mean - 1).square().sum()
    assert frechet_distance(real, fake) == pytest.approx(expected.item(), rel=1e-10)
    value, error = frechet_estimate(real=real, fake=torch.zeros(50, 16))
    assert value == pytest.approx((torch.trace(covariance) + real.mean.square().sum()).item())
    assert error == 0


def test_equal_sets_are_0_in_any_order_and_offset_does_not_matter():
    x = features(300).double()
    assert frechet_distance(Moments.of(x), Moments.of(x.flip(0))) == pytest.approx(0, abs=1e-9)
    y = features(200, seed=3).double()
    plain = frechet_distance(Moments.of(x), Moments.of(y))
    moved = frechet_distance(Moments.of(x + 1000), Moments.of(y + 1000))
    assert moved == pytest.approx(plain, rel=1e-9)


def test_rotation_changes_nothing_and_scale_squares():
    x, y = features(300).double(), features(200, seed=3, shift=0.4).double()
    rotation = torch.linalg.qr(torch.randn(16, 16).double()).Q
    plain = frechet_distance(Moments.of(x), Moments.of(y))
    rotated = frechet_distance(Moments.of(x @ rotation), Moments.of(y @ rotation))
    scaled = frechet_distance(Moments.of(3 * x), Moments.of(3 * y))
    assert rotated == pytest.approx(plain, rel=1e-9)
    assert scaled == pytest.approx(9 * plain, rel=1e-9)


def test_fewer_images_than_features_give_the_nuclear_norm_of_their_inner_products():
    x, y = features(30, 64).double(), features(20, 64, seed=3).double()
    a, b = ((v - v.mean(0)) / (len(v) - 1) ** 0.5 for v in (x, y))
    shift = (x.mean(0) - y.mean(0)).square().sum()
    common = torch.linalg.svdvals(a @ b.T).sum()
    expected = shift + a.square().sum() + b.square().sum() - 2 * common
    value, error = frechet_estimate(real=Moments.of(x), fake=y)
    assert value == pytest.approx(expected.item(), rel=1e-11)
    assert error > 0


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
    assert mine == pytest.approx(metric.compute().item(), rel=1e-5)
    statistics = [fid_features_to_statistics(x.double()) for x in (real, fake)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)
    assert mine == pytest.approx(theirs["frechet_inception_distance"], rel=1e-9)


def test_bias_is_c_over_n_and_halves_remove_it():
    """Against moments that are exact, the only bias is that of the samples."""
    real = exact(torch.zeros(16), random_covariance(16, 10))
    law = exact(torch.full((16,), 0.1), 1.2 * real.covariance)
    truth = frechet_distance(real, law)
    curvature = torch.eye(16).double() - optimal_map(law.covariance, real.covariance)
    generator = torch.Generator().manual_seed(0)

    def errors(estimate, count, draws):
        """Errors of an estimate, less the mean of IF at the law, which is noise of mean 0."""
        for _ in range(draws):
            y = torch.randn(count, 16, generator=generator, dtype=torch.float64) @ law.factor
            influence = 2 * y @ (law.mean - real.mean) + ((y @ curvature) * y).sum(1)
            noise = influence.mean() - torch.trace(curvature @ law.covariance)
            yield (estimate(y + law.mean) - truth - noise).item()

    def mean(values):
        return sum(values) / len(values)

    def plain(x):
        return frechet_distance(real, Moments.of(x))

    constants = [n * mean(list(errors(plain, n, 100))) for n in (500, 2000, 8000)]
    assert max(constants) / min(constants) < 1.05
    left = torch.tensor(
        list(errors(lambda x: frechet_unbiased(real=real, fake=x, seed=0).value, 500, 100))
    )
    assert abs(left.mean()) < 3 * left.std() / 10
    assert left.std() / 10 < 0.05 * constants[0] / 500


def root(covariance, power):
    """A power of a positive semi-definite matrix, on the directions in which it is not 0."""
    values, vectors = torch.linalg.eigh(covariance)
    powers = torch.where(values > 1e-13 * values.max(), values.clamp_min(1e-300) ** power, 0)
    return (vectors * powers) @ vectors.T


def optimal_map(source, target):
    """T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2, as textbooks write it."""
    half, back = root(source, 0.5), root(source, -0.5)
    return back @ root(half @ target @ half, 0.5) @ back


@pytest.mark.parametrize(("count", "dead"), [(200, 0), (200, 3), (12, 0), (12, 3)])
def test_standard_error_is_that_of_the_formula(count, dead):
    """Also with dead units, and with fewer images than features."""
    scale = torch.logspace(0, -2, 16).double()
    x, y = features(400).double() * scale, 1.3 * features(count, seed=3).double() * scale + 0.2
    x[:, :dead] = y[:, :dead] = 5
    real, fake = Moments.of(x), Moments.of(y)
    transport = optimal_map(fake.covariance, real.covariance)
    z = y - fake.mean
    influence = 2 * z @ (fake.mean - real.mean) + z.square().sum(1) - ((z @ transport) * z).sum(1)
    value, error = frechet_estimate(real=real, fake=y)
    assert value == pytest.approx(frechet_distance(real, fake), rel=1e-12)
    assert error == pytest.approx(influence.std().item() / count**0.5, rel=1e-5)
    assert frechet_standard_error(real, y) == error


def test_standard_error_and_jackknife_agree_with_redraws():
    real = Moments.of(features(20_000, 6))
    draws = [features(500, 6, seed=s, shift=0.3) * 1.2 for s in range(10, 210)]
    spread = torch.tensor([frechet_distance(real, Moments.of(x)) for x in draws]).std()
    jackknife = []
    for x in draws[:20]:
        blocks = [Moments.of(b) for b in x.chunk(20)]
        left = [
            frechet_distance(real, Moments.merge(blocks[:i] + blocks[i + 1 :])) for i in range(20)
        ]
        jackknife.append(19 / 20**0.5 * torch.tensor(left).std())
    influence = [frechet_estimate(real=real, fake=x).error for x in draws[:20]]
    for errors in (influence, jackknife):
        assert 0.8 < sum(errors) / 20 / spread < 1.25


@pytest.mark.parametrize("scale", [1.0, 1.3])
def test_error_of_the_unbiased_estimate_agrees_with_redraws_for_equal_laws_too(scale):
    real = exact(torch.zeros(6), random_covariance(6, 10))
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(200, 400, 6, generator=generator).double() @ real.factor * scale
    values, errors = torch.tensor([frechet_unbiased(real=real, fake=x) for x in draws]).T
    assert 0.8 < errors.square().mean().sqrt() / values.std() < 1.25


def test_unbiased_estimate_is_twice_the_whole_less_the_halves():
    real, x = Moments.of(features(500)), features(200, seed=3)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(4))
    halves = [frechet_distance(real, Moments.of(x[half])) for half in order.split(100)]
    whole = frechet_estimate(real=real, fake=x)
    value, error = frechet_unbiased(real=real, fake=x, seed=4)
    assert value == pytest.approx(2 * whole.value - sum(halves) / 2, rel=1e-10)
    assert error == pytest.approx(whole.error, rel=1e-10)
    assert frechet_unbiased(real=real, fake=x, seed=5).value != value
    with pytest.raises(UsageError, match=r"33 samples are too few .* draw 34 or more"):
        frechet_unbiased(real=real, fake=x[:33])
    frechet_unbiased(real=real, fake=x[:34])


def test_bad_features_are_named():
    broken = features(5)
    broken[3, 2] = float("nan")
    with pytest.raises(UsageError, match="image 3"):
        Moments.of(broken)
    with pytest.raises(UsageError, match="2 images or more"):
        Moments.of(features(1))
    with pytest.raises(UsageError, match="16 and 8"):
        frechet_distance(Moments.of(features(5)), Moments.of(features(5, 8)))
    with pytest.raises(UsageError, match="16 and 8"):
        Moments.merge([Moments.of(features(5)), Moments.of(features(5, 8))])
    with pytest.raises(UsageError, match="no moments to merge"):
        Moments.merge([])
