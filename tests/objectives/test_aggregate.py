"""Objectives on the aggregated posterior: exact mixtures, and integrals known by quadrature."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from gen_models.distributions import FlowPrior, GaussianMixture, StandardNormal
from gen_models.errors import UsageError
from gen_models.models import VAE, ConditionalVAE
from gen_models.objectives import (
    Draws,
    Linear,
    MaximumMeanDiscrepancy,
    NegativeELBO,
    TotalCorrelation,
)
from gen_models.objectives.aggregate import (
    SCALES,
    maximum_mean_discrepancy,
    rate_parts,
    stratified_weights,
)

from ..models.conftest import parts


def gaussian(mean, deviation=1.0):
    return Independent(Normal(mean, torch.as_tensor(deviation).double().expand(mean.shape)), 1)


def draws(means, deviation=0.7, count=1, population=None, z=None):
    """Draws from Gaussians around `means`, (B, D), against N(0, I)."""
    posterior, prior = gaussian(means, deviation), gaussian(means.new_zeros(means.shape[1]))
    z = posterior.rsample((count,)) if z is None else z
    return Draws(z, torch.randn(z.shape[:2]).double(), posterior, prior, population)


def means(images=5, latents=3):
    return torch.randn(images, latents, dtype=torch.float64, generator=torch.manual_seed(3))


def test_an_image_weighs_its_share_of_the_population_and_rows_sum_to_one():
    weights = stratified_weights(4, 50)
    torch.testing.assert_close(weights.diagonal(), torch.full((4,), 1 / 50).double())
    torch.testing.assert_close(weights.sum(1), torch.ones(4).double())
    assert stratified_weights(1, 50).tolist() == [[1.0]]


def test_with_all_posteriors_in_the_batch_the_aggregated_posterior_is_exact():
    some = draws(means(), count=2, population=5)
    joint = MixtureSameFamily(Categorical(torch.ones(5).double()), some.posterior)
    marginals = sum(
        MixtureSameFamily(Categorical(torch.ones(5).double()), Normal(means()[:, j], 0.7)).log_prob(
            some.z[..., j]
        )
        for j in range(3)
    )
    parts = rate_parts(some)
    log_joint = joint.log_prob(some.z)
    torch.testing.assert_close(parts.information, some.log_posterior - log_joint)
    torch.testing.assert_close(parts.total_correlation, log_joint - marginals)
    torch.testing.assert_close(parts.dimension_wise, marginals - some.log_prior)


def test_over_all_batches_the_estimated_density_averages_to_the_exact_one():
    """Every batch of 3 of the 5 images that holds the image whose latent is looked at."""
    everyone, z = means(), torch.tensor([0.3, -0.2, 0.9]).double()
    mixture = MixtureSameFamily(Categorical(torch.ones(5).double()), gaussian(everyone, 0.7))
    densities = []
    for others in itertools.combinations(range(1, 5), 2):
        batch = everyone[[0, *others]]
        some = draws(batch, population=5, z=z.expand(1, 3, 3))
        densities.append((some.log_posterior - rate_parts(some).information)[0, 0].exp())
    torch.testing.assert_close(torch.stack(densities).mean(), mixture.log_prob(z).exp())


def test_the_parts_sum_to_the_rate_of_the_draws_whatever_the_estimate_is():
    for population in (5, 1000):
        some = draws(means(), count=4, population=population)
        plain = TotalCorrelation(alpha=1.0, beta=1.0, gamma=1.0, draws=4)(some)
        torch.testing.assert_close(plain, -some.log_weights.mean(0))


def test_the_loss_moves_by_each_weight_times_its_part():
    some = draws(means(), count=2, population=40)
    for name, part in rate_parts(some)._asdict().items():
        weight = {"information": "alpha", "total_correlation": "beta", "dimension_wise": "gamma"}
        one, other = (TotalCorrelation(**{weight[name]: value})(some) for value in (3.5, 1.0))
        torch.testing.assert_close(one - other, 2.5 * part.mean(0))
    later = TotalCorrelation(beta=Linear(images=10, end=4.0))(some, 5)
    torch.testing.assert_close(later, TotalCorrelation(beta=2.0)(some))


def test_posteriors_that_ignore_the_image_tell_nothing_and_single_latents_cannot_correlate():
    same = rate_parts(draws(torch.zeros(5, 3).double(), population=40))
    torch.testing.assert_close(same.information, torch.zeros(1, 5).double())
    torch.testing.assert_close(same.total_correlation, torch.zeros(1, 5).double())
    single = rate_parts(draws(means(latents=1), population=40))
    torch.testing.assert_close(single.total_correlation, torch.zeros(1, 5).double())


def test_what_the_total_correlation_needs_is_said_in_one_line():
    with pytest.raises(UsageError, match=r"model\.training_images"):
        TotalCorrelation()(draws(means()))
    full = MultivariateNormal(torch.zeros(5, 3).double(), torch.eye(3).double())
    prior = gaussian(torch.zeros(3).double())
    some = Draws(full.rsample((1,)), torch.zeros(1, 5).double(), full, prior, population=9)
    with pytest.raises(UsageError, match="posterior=diagonal"):
        TotalCorrelation()(some)
    # Even where q(z) = p(z), KL(q(z_j) || p(z_j)) would not be 0: log p(z) has no parts by latent.
    mixture = MixtureSameFamily(Categorical(torch.ones(2).double()), gaussian(means(2)))
    some = draws(means(), population=5)
    mixed = Draws(some.z, some.log_likelihood, some.posterior, mixture, population=5)
    with pytest.raises(UsageError, match="prior=standard_normal") as error:
        TotalCorrelation()(mixed)
    assert "\n" not in str(error.value)


def expected_kernel(shift, variance, latents):
    r"""E k(u - v), u - v ~ N(shift, variance I), since C/(C + r) = C \int exp(-t (C + r)) dt."""

    def integrand(t, width):
        spread = 1 + 2 * t * variance
        near = math.exp(-t * float(shift @ shift) / spread)
        return width * math.exp(-t * width) * spread ** (-latents / 2) * near

    widths = (2 * latents * scale for scale in SCALES)
    return sum(quad(integrand, 0, np.inf, args=(width,))[0] for width in widths)


def estimates(mean, deviation, repeats=600, batch=40):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(repeats, 2, batch, 4, dtype=torch.float64, generator=generator)
    return torch.stack([maximum_mean_discrepancy(mean + deviation * u, v) for u, v in noise])


def test_the_discrepancy_of_two_gaussians_is_unbiased():
    mean, deviation = torch.tensor([0.5, 0.0, -0.3, 0.2]).double(), 0.6
    none = torch.zeros(4).double()
    exact = (
        expected_kernel(none, 2 * deviation**2, 4)
        + expected_kernel(none, 2.0, 4)
        - 2 * expected_kernel(mean, 1 + deviation**2, 4)
    )
    values = estimates(mean, deviation)
    error = values.std() / len(values) ** 0.5
    assert error < 0.02 * exact
    assert abs(values.mean() - exact) < 3 * error


def test_the_discrepancy_of_equal_laws_is_zero_on_average_and_so_negative_at_times():
    values = estimates(0.0, 1.0)
    assert abs(values.mean()) < 3 * values.std() / len(values) ** 0.5
    assert values.min() < 0 < values.max()


def test_the_discrepancy_is_the_sum_over_pairs_written_out():
    u, v = torch.randn(4, 2).double(), torch.randn(3, 2).double()

    def kernel(a, b):
        widths = (2 * 2 * 1.7 * scale for scale in (0.5, 3.0))
        return sum(width / (width + (a - b).square().sum()) for width in widths)

    def within(points):
        pairs = list(itertools.permutations(points, 2))
        return sum(kernel(a, b) for a, b in pairs) / len(pairs)

    between = sum(kernel(a, b) for a in u for b in v) / 12
    expected = within(u) + within(v) - 2 * between
    found = maximum_mean_discrepancy(u, v, scales=(0.5, 3.0), variance=1.7)
    torch.testing.assert_close(found, expected)


def test_the_discrepancy_is_added_to_the_terms_of_the_bound_with_its_weights():
    some = draws(means(), count=2)
    held = MaximumMeanDiscrepancy(weight=0.0, rate_weight=0.25, draws=2)(some)
    torch.testing.assert_close(held, NegativeELBO(beta=0.25, draws=2)(some))
    torch.manual_seed(5)
    added = MaximumMeanDiscrepancy(weight=30.0, rate_weight=0.25, draws=2)(some) - held
    torch.manual_seed(5)
    prior = some.prior.sample((2, 5))
    both = [maximum_mean_discrepancy(z, other) for z, other in zip(some.z, prior, strict=True)]
    torch.testing.assert_close(added, 30 * torch.stack(both).mean().expand(5))


def test_gradients_reach_encoder_and_prior_even_where_latents_coincide():
    z = torch.zeros(4, 2).double().requires_grad_()
    location = torch.ones(2).double().requires_grad_()
    some = Draws(z[None], torch.zeros(1, 4).double(), gaussian(z), gaussian(location))
    MaximumMeanDiscrepancy(weight=1.0)(some).mean().backward()
    for gradient in (z.grad, location.grad):
        assert gradient.isfinite().all()
        assert gradient.abs().min() > 0


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: TotalCorrelation(alpha=-1), "alpha"),
        (lambda: TotalCorrelation(beta=-1), "beta"),
        (lambda: TotalCorrelation(gamma=-1), "gamma"),
        (lambda: TotalCorrelation(draws=0), "draws"),
        (lambda: MaximumMeanDiscrepancy(weight=-1), "weight"),
        (lambda: MaximumMeanDiscrepancy(weight=1, rate_weight=-1), "rate_weight"),
        (lambda: MaximumMeanDiscrepancy(weight=1, scales=[0.0]), "scales"),
    ],
)
def test_impossible_numbers_are_refused(make, name):
    with pytest.raises(UsageError, match=name):
        make()


def test_a_prior_that_draws_do_not_teach_is_refused_where_the_rate_weighs_nothing():
    alone, beside = MaximumMeanDiscrepancy(weight=1.0), MaximumMeanDiscrepancy(1.0, 0.5)
    with pytest.raises(UsageError, match="GaussianMixture has parameters") as error:
        alone.bind(GaussianMixture(2))
    assert "\n" not in str(error.value)
    beside.bind(GaussianMixture(2))
    for prior in (FlowPrior(2), StandardNormal(2)):
        alone.bind(prior)


@pytest.mark.parametrize("kind", [VAE, partial(ConditionalVAE, num_classes=3)])
def test_a_vae_shows_its_objective_the_prior(kind):
    options = {**parts(), "objective": MaximumMeanDiscrepancy(weight=1.0)}
    with pytest.raises(UsageError, match="GaussianMixture has parameters"):
        kind(**{**options, "prior": GaussianMixture})
