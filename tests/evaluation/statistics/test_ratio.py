"""The divergence from below, on Gaussians whose divergence is known."""

import math

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.ratio import density_ratio_divergence, log_ratios, reduced

VARIANCE = 1.3


def normal(count, dimension, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimension, generator=generator, dtype=torch.float64)


def wider(count, dimension, nats, seed):
    """Samples of N(m, 1.3 I), as many nats away from N(0, I): KL(N(0, I) || N(m, 1.3 I))."""
    spread = dimension / 2 * (1 / VARIANCE - 1 + math.log(VARIANCE))
    mean = math.sqrt(2 * VARIANCE * (nats - spread) / dimension)
    return mean + math.sqrt(VARIANCE) * normal(count, dimension, seed)


@pytest.mark.parametrize(("dimension", "nats", "loss"), [(2, 0.264, 0.02), (16, 0.82, 0.13)])
def test_gaussians_from_below(dimension, nats, loss):
    """The mean over draws is below the truth, and not far; learning 152 products costs `loss`."""
    values = []
    for seed in range(3):
        real = normal(1500, dimension, seed)
        fake = wider(1500, dimension, nats, 100 + seed)
        values.append(density_ratio_divergence(real=real, fake=fake).value)
    noise = torch.tensor(values).std().item() / len(values) ** 0.5
    mean = sum(values) / len(values)
    assert mean < nats + 2 * noise
    assert mean > nats - loss - 2 * noise


def test_two_nats_are_seen():
    value, error = density_ratio_divergence(real=normal(4000, 16, 0), fake=wider(4000, 16, 2.11, 1))
    assert error is not None
    assert abs(value - 2.11) < 3 * error
    assert error < 0.2


@pytest.mark.parametrize(("dimension", "count"), [(2, 500), (16, 1000), (64, 500)])
def test_equal_distributions_do_not_differ(dimension, count):
    """Nothing is found, and at most 0.03 nats are lost on what the classifier learns by heart.

    In 64 dimensions components of the real features alone would show a difference of 0.3.
    """
    for seed in (0, 20):
        real, fake = normal(count, dimension, seed), normal(count, dimension, seed + 1)
        value, error = density_ratio_divergence(real=real, fake=fake)
        assert error is not None
        assert -0.03 < value <= 3 * error < 0.1


def test_the_error_is_the_deviation_over_samples():
    real = normal(1000, 1, 0)
    estimates = [
        density_ratio_divergence(real=real, fake=wider(1000, 1, 0.264, 1 + seed))
        for seed in range(20)
    ]
    values, errors = torch.tensor(estimates, dtype=torch.float64).unbind(1)
    assert 0.7 < errors.mean() / values.std() < 1.4


def test_the_bound_is_that_of_donsker_and_varadhan():
    pair = {"real": normal(100, 2, 0), "fake": wider(120, 2, 1.0, 1)}
    at_real, at_fake = log_ratios(**pair)
    value, error = density_ratio_divergence(**pair)
    weights = at_fake.exp()
    assert value == pytest.approx((at_real.mean() - weights.mean().log()).item(), rel=1e-12)
    assert error == pytest.approx((weights.std() / weights.mean() / 120**0.5).item(), rel=1e-12)


def test_ratios_are_those_of_the_densities_whatever_the_counts():
    """N(0, 1) against N(1, 1) in one dimension: log p / q = 1/2 - x."""
    real, fake = normal(3000, 1, 0), 1 + normal(1000, 1, 1)
    at_real, at_fake = log_ratios(real=real, fake=fake)
    for ratios, x in ((at_real, real[:, 0]), (at_fake, fake[:, 0])):
        assert (ratios - (0.5 - x)).abs().mean() < 0.15
    assert abs(at_real.mean().item() - 0.5) < 0.1


def test_the_direction_matters():
    """Samples of half the real modes: KL(real || fake) is great, the reverse log 2."""
    narrow, wide = 0.5 * normal(2000, 1, 0), normal(2000, 1, 1)
    lost = density_ratio_divergence(real=wide, fake=narrow).value
    invented = density_ratio_divergence(real=narrow, fake=wide).value
    assert lost == pytest.approx(0.5 * (4 - 1 - math.log(4)), abs=0.25)
    assert invented == pytest.approx(0.5 * (0.25 - 1 + math.log(4)), abs=0.05)


def test_disjoint_sets_and_a_constant_generator_have_a_value():
    real = normal(200, 4, 0)
    for fake in (1000 + normal(200, 4, 1), torch.zeros(200, 4)):
        value, error = density_ratio_divergence(real=real, fake=fake)
        assert value > 3
        assert math.isfinite(value)
        assert error is not None
        assert math.isfinite(error)


def test_the_seed_says_all():
    real, fake = normal(200, 4, 0), wider(200, 4, 1.0, 1)
    first = density_ratio_divergence(real=real, fake=fake, seed=3)
    torch.rand(1)
    assert density_ratio_divergence(real=real, fake=fake, seed=3) == first
    assert density_ratio_divergence(real=real, fake=fake, seed=4) != first


def test_reduced_features_are_white_together():
    mixing = normal(40, 40, 5)
    real, fake = normal(300, 40, 0) @ mixing + 7, wider(200, 40, 9.0, 1) @ mixing
    a, b = reduced(real=real.float(), fake=fake.float())
    assert a.shape == (300, 16)
    assert b.shape == (200, 16)
    union = torch.cat([a, b])
    assert torch.allclose(union.mean(0), torch.zeros(16).double(), atol=1e-10)
    assert torch.allclose(union.T.cov(), torch.eye(16).double(), atol=1e-9)
    # The leading ones: no other sixteen directions hold as much of the variance.
    features = torch.cat([real, fake])
    features = features - features.mean(0)
    explained = (union.T @ features / (len(union) - 1)).square().sum().item()
    most = torch.linalg.eigvalsh(features.T.cov())[-16:].sum().item()
    assert explained == pytest.approx(most, rel=1e-5)


def test_dead_and_repeated_features_are_dropped():
    x = normal(100, 3, 0)
    real = torch.cat([x, x, torch.ones(100, 5)], dim=1)
    assert reduced(real=real, fake=real)[0].shape == (100, 3)


@pytest.mark.parametrize(
    ("real", "fake", "words"),
    [
        (torch.zeros(30, 2), torch.zeros(30, 2), "are the same"),
        (torch.zeros(30, 2), torch.zeros(30, 3), "same dimension"),
        (torch.zeros(19, 2), torch.zeros(30, 2), "20 images or more"),
        (torch.eye(30), torch.eye(30).index_fill(0, torch.tensor(4), torch.inf), "fake image 4 "),
    ],
)
def test_mistakes_are_told_in_a_line(real, fake, words):
    with pytest.raises(UsageError, match=words):
        density_ratio_divergence(real=real, fake=fake)
