"""Densities integrate to one and agree with the formulas; supports are guarded."""

import math

import pytest
import torch
from torch.distributions import kl_divergence

from gen_models.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    DiagonalGaussian,
    Gaussian,
    StandardNormal,
    pixel_mean,
)
from gen_models.errors import UsageError
from gen_models.information import gaussian_divergence

LIKELIHOODS = [Gaussian(0.2), Gaussian(0.2, learned=True), Bernoulli(), ContinuousBernoulli()]


def test_one_activation_serves_tanh_and_sigmoid():
    a = torch.linspace(-4, 4, 101)
    torch.testing.assert_close(pixel_mean(a), (torch.tanh(a) + 1) / 2)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda x: type(x).__name__)
def test_log_prob_is_one_value_an_image_and_mean_is_the_distributions(likelihood):
    a = torch.randn(3, 2, 4, 5)
    pixels = torch.rand(3, 2, 4, 5).round()
    p = likelihood(a)
    assert p.log_prob(pixels).shape == (3,)
    torch.testing.assert_close(likelihood.mean(a), p.mean)
    one = likelihood(a[:1]).log_prob(pixels[:1])
    torch.testing.assert_close(p.log_prob(pixels)[:1], one)


@pytest.mark.parametrize(
    "activation", [-60.0, -12.0, -3.0, -0.16, -0.14, 0.0, 1e-4, 0.7, 3.0, 40.0]
)
def test_continuous_bernoulli_integrates_to_one_and_has_its_mean(activation):
    """At -60 and 40 torch's own distribution has lost a factor: its normaliser is clamped."""
    grid = (torch.arange(1_000_000) + 0.5) / 1_000_000
    a = torch.tensor(activation).reshape(1, 1, 1, 1)
    likelihood = ContinuousBernoulli()
    density = likelihood(a).log_prob(grid.reshape(-1, 1, 1, 1)).double().exp()
    assert density.mean().item() == pytest.approx(1, abs=1e-5)
    assert (density * grid).mean().item() == pytest.approx(likelihood.mean(a).item(), abs=1e-5)


def test_continuous_bernoulli_is_torchs_where_torch_is_right_and_smooth_everywhere():
    a = torch.linspace(-7, 7, 4001).reshape(-1, 1, 1, 1)
    x = torch.rand_like(a)
    reference = torch.distributions.ContinuousBernoulli(logits=2 * a.double())
    mine = ContinuousBernoulli()(a)
    torch.testing.assert_close(
        mine.log_prob(x), reference.log_prob(x.double()).flatten().float(), atol=2e-5, rtol=1e-4
    )
    torch.testing.assert_close(
        ContinuousBernoulli().mean(a), reference.mean.float(), atol=2e-5, rtol=1e-4
    )
    b = torch.linspace(-1000, 1000, 4001).reshape(-1, 1, 1, 1).requires_grad_()
    value = ContinuousBernoulli()(b).log_prob(torch.full_like(b, 0.3)).sum()
    [slope] = torch.autograd.grad(value, b)
    assert slope.isfinite().all()
    means = ContinuousBernoulli().mean(b).flatten()
    assert (means.diff() > 0).all()


def test_gaussian_density_by_hand():
    a, pixels, sigma = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.75), 0.1
    expected = -0.5 * 4 * (math.log(2 * math.pi * sigma**2) + 0.25**2 / sigma**2)
    assert Gaussian(sigma)(a).log_prob(pixels).item() == pytest.approx(expected, rel=1e-5)


def test_learned_deviation_is_optimal_at_the_root_of_the_mean_squared_error():
    torch.manual_seed(0)
    likelihood = Gaussian(0.5, learned=True)
    a, pixels = torch.randn(50, 1, 4, 4), torch.rand(50, 1, 4, 4)
    likelihood.log_deviation.data = (pixels - pixel_mean(a)).square().mean().sqrt().log()
    likelihood(a).log_prob(pixels).mean().backward()
    assert likelihood.log_deviation.grad.item() == pytest.approx(0, abs=1e-4)
    assert not Gaussian(0.5).log_deviation.requires_grad


def test_bernoulli_on_bits_by_hand():
    a = torch.tensor([0.3, -1.0]).reshape(1, 1, 1, 2)
    p = pixel_mean(a).flatten()
    bits = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2)
    assert Bernoulli()(a).log_prob(bits).item() == pytest.approx(
        (p[0].log() + (1 - p[1]).log()).item()
    )


def test_bernoulli_refuses_grey_in_one_line():
    Bernoulli().check(torch.tensor([0.0, 1.0, 1.0]))
    with pytest.raises(UsageError, match="continuous_bernoulli") as error:
        Bernoulli().check(torch.tensor([0.0, 0.5, 1.0]))
    assert "33 %" in str(error.value)
    assert "\n" not in str(error.value)


def test_deviation_must_be_positive():
    with pytest.raises(UsageError, match=r"likelihood\.deviation"):
        Gaussian(0.0)


def test_posterior_is_mean_plus_deviation_times_noise():
    """Z = mu + sigma * eps, and eps = (z - mu) / sigma gives the noise back."""
    features = torch.randn(6, 8)
    posterior = DiagonalGaussian(4)(features)
    mean, deviation = posterior.mean, posterior.stddev
    torch.testing.assert_close(mean, features[:, :4])
    torch.manual_seed(3)
    z = posterior.rsample()
    torch.manual_seed(3)
    noise = torch.empty(6, 4).normal_()
    torch.testing.assert_close(z, mean + deviation * noise)
    torch.testing.assert_close((z - mean) / deviation, noise)
    assert (deviation > 0).all()
    assert DiagonalGaussian(4)(torch.full((1, 8), -200.0)).stddev.min() >= 1e-4


def test_divergence_of_head_and_prior_is_the_closed_form():
    posterior, prior = DiagonalGaussian(4)(torch.randn(6, 8)), StandardNormal(4)
    expected = gaussian_divergence(posterior.mean, posterior.stddev)
    torch.testing.assert_close(kl_divergence(posterior, prior()), expected)


def test_prior_draws_are_seeded_and_standard():
    prior = StandardNormal(3)
    draws = prior.sample(50_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(draws, prior.sample(50_000, torch.Generator().manual_seed(0)))
    assert draws.mean(0).abs().max() < 0.02
    assert (draws.var(0) - 1).abs().max() < 0.03
