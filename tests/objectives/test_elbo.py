"""The bound: exact on a linear-Gaussian model, and moved by the weight as the formula says."""

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from gen_models.capabilities import ElboTerms
from gen_models.errors import UsageError
from gen_models.objectives import NegativeELBO, elbo_terms


def linear_gaussian(noise=0.4):
    torch.manual_seed(0)
    weight = torch.randn(6, 2, dtype=torch.float64)
    x = torch.randn(6, dtype=torch.float64)
    covariance = weight @ weight.T + noise**2 * torch.eye(6, dtype=torch.float64)
    evidence = MultivariateNormal(torch.zeros(6).double(), covariance).log_prob(x)
    precision = torch.eye(2, dtype=torch.float64) + weight.T @ weight / noise**2
    mean = torch.linalg.solve(precision, weight.T @ x / noise**2)
    return weight, noise, x, evidence, mean, precision


def test_with_the_exact_posterior_the_bound_is_the_evidence_on_average():
    weight, noise, x, evidence, mean, precision = linear_gaussian()
    count = 100_000
    posterior = MultivariateNormal(mean.expand(count, 2), precision_matrix=precision)
    prior = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    terms = elbo_terms(
        x.reshape(1, 6, 1, 1).expand(count, 6, 1, 1),
        posterior,
        prior,
        lambda z: Independent(Normal((z @ weight.T)[..., None, None], noise), 3),
    )
    bound = terms.log_likelihood - terms.rate
    error = bound.std() / count**0.5
    assert abs(bound.mean() - evidence) < 4 * error
    assert terms.log_likelihood.shape == terms.rate.shape == (count,)


def test_terms_are_sums_over_pixels_and_latents():
    posterior = Independent(Normal(torch.ones(1, 5), torch.ones(1, 5)), 1)
    prior = Independent(Normal(torch.zeros(5), torch.ones(5)), 1)
    terms = elbo_terms(
        torch.zeros(1, 1, 4, 4),
        posterior,
        prior,
        lambda z: Independent(Normal(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)), 3),
    )
    assert terms.rate.item() == pytest.approx(2.5)
    assert terms.log_likelihood.item() == pytest.approx(-0.5 * 16 * 1.8378771, rel=1e-6)


def test_the_loss_moves_by_the_weight_times_the_rate():
    terms = ElboTerms(torch.tensor([-3.0, 1.0]), torch.tensor([2.0, 4.0]))
    difference = NegativeELBO(beta=4.0)(terms) - NegativeELBO(beta=1.5)(terms)
    torch.testing.assert_close(difference, 2.5 * terms.rate)
    torch.testing.assert_close(NegativeELBO()(terms), torch.tensor([5.0, 3.0]))


def test_a_negative_weight_is_refused():
    with pytest.raises(UsageError, match=r"objective\.beta"):
        NegativeELBO(beta=-1)
