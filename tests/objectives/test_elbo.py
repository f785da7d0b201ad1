"""The bound: exact on a linear-Gaussian model, and moved by the weight as the formula says."""

import pytest
import torch
from torch.distributions import (
    Independent,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)

from gen_models.distributions import FlowPrior, GaussianMixture, StandardNormal
from gen_models.errors import UsageError
from gen_models.objectives import Capacity, Cyclic, Draws, Linear, NegativeELBO, draw


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
    terms = draw(
        x.reshape(1, 6, 1, 1).expand(count, 6, 1, 1),
        posterior,
        prior,
        lambda z: Independent(Normal((z @ weight.T)[..., None, None], noise), 3),
    ).terms
    bound = terms.log_likelihood - terms.rate
    error = bound.std() / count**0.5
    assert abs(bound.mean() - evidence) < 4 * error
    assert terms.log_likelihood.shape == terms.rate.shape == (count,)


def test_terms_are_sums_over_pixels_and_latents():
    posterior = Independent(Normal(torch.ones(1, 5), torch.ones(1, 5)), 1)
    prior = Independent(Normal(torch.zeros(5), torch.ones(5)), 1)
    terms = draw(
        torch.zeros(1, 1, 4, 4),
        posterior,
        prior,
        lambda z: Independent(Normal(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)), 3),
    ).terms
    assert terms.rate.item() == pytest.approx(2.5)
    assert terms.log_likelihood.item() == pytest.approx(-0.5 * 16 * 1.8378771, rel=1e-6)


def draws(mean, deviation, log_likelihood, z=None):
    """One draw for each image from diagonal Gaussians, against N(0, I)."""
    posterior = Independent(Normal(mean, deviation), 1)
    prior = Independent(Normal(torch.zeros(mean.shape[1]), torch.ones(mean.shape[1])), 1)
    return Draws(posterior.rsample((1,)) if z is None else z, log_likelihood, posterior, prior)


SOME = draws(
    mean=torch.tensor([[1.0, 0.0], [2.0, 0.1]]),
    deviation=torch.ones(2, 2),
    log_likelihood=torch.tensor([[-3.0, 1.0]]),
)
RATES = torch.tensor([[0.5, 0.0], [2.0, 0.005]])


def test_the_loss_moves_by_the_weight_times_the_rate():
    difference = NegativeELBO(beta=4.0)(SOME) - NegativeELBO(beta=1.5)(SOME)
    torch.testing.assert_close(SOME.rate_per_latent, RATES)
    torch.testing.assert_close(difference, 2.5 * RATES.sum(1))
    torch.testing.assert_close(NegativeELBO()(SOME), torch.tensor([3.5, 1.005]))


def test_a_scheduled_weight_is_the_schedules_at_that_time():
    warm_up = NegativeELBO(beta=Linear(images=1000, end=2.0))
    for seen, beta in ((0, 0.0), (250, 0.5), (1000, 2.0), (9000, 2.0)):
        torch.testing.assert_close(warm_up(SOME, seen), NegativeELBO(beta=beta)(SOME))


def test_cycles_rise_rest_and_begin_again():
    cyclic = Cyclic(images=100, rising=0.5)
    assert [cyclic(n) for n in (0, 25, 50, 99, 100, 125)] == [0.0, 0.5, 1.0, 1.0, 0.0, 0.5]


def test_free_nats_are_a_floor_under_the_batch_mean_of_each_latent():
    """Means of the rates are 1.25 and 0.0025: only the second is lifted, to 1.

    A floor under each image's own rates would lift the 0.5 of the first image too.
    """
    free = NegativeELBO(free_nats=1.0)(SOME)
    assert free.mean().item() == pytest.approx(1.25 + 1.0 + 1.0)
    plain = NegativeELBO(free_nats=0.0)(SOME).mean()
    assert NegativeELBO(free_nats=1e-9)(SOME).mean().item() == pytest.approx(plain.item())


def test_a_latent_under_its_free_nats_is_not_pushed():
    mean = torch.full((4, 2), 0.1, requires_grad=True)
    some = draws(mean, torch.ones(4, 2), torch.zeros(1, 4))
    NegativeELBO(free_nats=0.5)(some).mean().backward()
    assert mean.grad.abs().max() == 0


def test_capacity_costs_the_distance_from_it():
    rate = RATES.sum(1).mean().item()
    objective = Capacity(capacity=Linear(images=100, end=25.0), gamma=10.0)
    assert objective(SOME, 50).mean().item() == pytest.approx(10 * (12.5 - rate) + 1, rel=1e-6)
    assert objective(SOME, 0).mean().item() == pytest.approx(10 * rate + 1, rel=1e-6)


def test_capacity_is_that_of_the_batch_whose_images_may_lie_on_both_sides_of_it():
    """Rates of 0.5 and 2.005 around 1.25: 0.0025 off in the mean, 0.7525 off each for itself."""
    objective = Capacity(capacity=1.25, gamma=10.0)
    assert objective(SOME).mean().item() == pytest.approx(10 * 0.0025 + 1, rel=1e-5)


def test_a_rate_without_closed_form_is_that_of_the_draws():
    base = Normal(torch.zeros(2), torch.ones(2))
    posterior = Independent(Normal(torch.ones(3, 2), 0.5 * torch.ones(3, 2)), 1)
    other = TransformedDistribution(Independent(base, 1), [])  # torch knows no divergence from it
    z = posterior.rsample((5,))
    some = Draws(z, torch.zeros(5, 3), posterior, other)
    expected = (posterior.log_prob(z) - Independent(base, 1).log_prob(z)).mean(0)
    torch.testing.assert_close(some.rate, expected)


def test_the_rate_of_one_latent_needs_a_posterior_that_factorises():
    full = MultivariateNormal(torch.zeros(3, 2), torch.eye(2))
    prior = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    some = Draws(full.rsample((1,)), torch.zeros(1, 3), full, prior)
    with pytest.raises(UsageError, match="posterior=diagonal"):
        NegativeELBO(free_nats=0.1)(some)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: NegativeELBO(beta=-1), "beta"),
        (lambda: NegativeELBO(beta=Linear(images=10, end=-1.0)), "beta"),
        (lambda: NegativeELBO(free_nats=-1), "free_nats"),
        (lambda: NegativeELBO(draws=0), "draws"),
        (lambda: Capacity(capacity=-1), "capacity"),
        (lambda: Linear(images=0), "images"),
        (lambda: Cyclic(images=10, rising=0.0), "rising"),
    ],
)
def test_impossible_numbers_are_refused(make, name):
    with pytest.raises(UsageError, match=name):
        make()


@pytest.mark.parametrize("prior", [GaussianMixture, FlowPrior])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (NegativeELBO, "beta"),
        (lambda gamma: Capacity(capacity=25.0, gamma=gamma), "gamma"),
    ],
)
def test_a_prior_that_only_a_rate_of_no_weight_would_teach_is_refused(make, name, prior):
    with pytest.raises(UsageError, match=rf"{prior.__name__} .*objective\.{name}=0") as error:
        make(**{name: 0.0}).bind(prior(2))
    assert "\n" not in str(error.value)
    make(**{name: 0.0}).bind(StandardNormal(2))
    make(**{name: 0.1}).bind(prior(2))
