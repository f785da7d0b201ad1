"""Gaussian heads: formulas, and divergences against torch's own."""

import pytest
import torch
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal, kl_divergence
from torch.nn.functional import softplus

from gen_models.distributions import DiagonalGaussian, FullCovariance, StandardNormal
from gen_models.information import gaussian_divergence, gaussian_divergence_full


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


def test_full_covariance_is_the_gaussian_of_the_factor_in_the_features():
    head = FullCovariance(3)
    assert head.features == 9
    features = torch.randn(2, 9, dtype=torch.float64)
    factor = torch.zeros(2, 3, 3, dtype=torch.float64)
    for i, f in enumerate(features):
        rows = [[softplus(f[3]) + 1e-4, 0, 0], [f[6], softplus(f[4]) + 1e-4, 0]]
        factor[i] = torch.tensor([*rows, [f[7], f[8], softplus(f[5]) + 1e-4]])
    expected = MultivariateNormal(features[:, :3], covariance_matrix=factor @ factor.mT)
    z = torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(head(features).log_prob(z), expected.log_prob(z))


def test_without_covariances_it_is_the_diagonal_head():
    features = torch.randn(6, 14)
    features[:, 8:] = 0
    full, diagonal = FullCovariance(4)(features), DiagonalGaussian(4)(features[:, :8])
    z = torch.randn(6, 4)
    torch.testing.assert_close(full.log_prob(z), diagonal.log_prob(z))
    torch.testing.assert_close(full.stddev, diagonal.stddev)


def test_draws_have_the_covariance_and_carry_gradients():
    features = torch.randn(1, 9).requires_grad_()
    posterior = FullCovariance(3)(features)
    z = posterior.rsample((100_000,))[:, 0]
    torch.testing.assert_close(z.T.cov(), posterior.covariance_matrix[0], rtol=0.03, atol=0.03)
    (weight,) = torch.autograd.grad(z.square().sum(), features)
    assert (weight != 0).all()


@pytest.mark.parametrize("size", [1, 6])
def test_divergence_of_a_full_covariance_is_torchs(size):
    head = FullCovariance(size)
    posterior = head(torch.randn(5, head.features, dtype=torch.float64))
    standard = StandardNormal(size).double()()
    value = kl_divergence(posterior, standard)
    eye = MultivariateNormal(torch.zeros(size).double(), torch.eye(size).double())
    assert (value - kl_divergence(posterior, eye)).abs().max() < 1e-12
    ours = gaussian_divergence_full(posterior.loc, posterior.scale_tril)
    assert (value - ours).abs().max() < 1e-12
    mean, deviation = torch.randn(size).double(), torch.rand(size).double() + 0.2
    other = MultivariateNormal(mean, torch.diag(deviation**2))
    value = kl_divergence(posterior, Independent(Normal(mean, deviation), 1))
    torch.testing.assert_close(value, kl_divergence(posterior, other), rtol=1e-12, atol=1e-12)


def test_other_divergences_stay_unknown():
    posterior = FullCovariance(2)(torch.randn(3, 5))
    for base, dimensions in ((Laplace, 1), (Normal, 0)):
        prior = Independent(base(torch.zeros(2), torch.ones(2)), dimensions)
        with pytest.raises(NotImplementedError):
            kl_divergence(posterior, prior)


@pytest.mark.parametrize("head", [DiagonalGaussian(2), FullCovariance(2)])
def test_half_precision_is_widened_and_double_precision_kept(head):
    features = torch.zeros(1, head.features)
    assert head(features.bfloat16()).mean.dtype == torch.float32
    assert head(features.double()).mean.dtype == torch.float64


def test_autocast_does_not_reach_the_draws():
    head, draws = FullCovariance(3), []
    features = torch.randn(4, head.features)
    for on in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=on):
            draws.append(head(features).rsample((2,)))
    assert torch.equal(*draws)
