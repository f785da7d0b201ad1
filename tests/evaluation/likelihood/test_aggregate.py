"""The aggregated posterior against the mixture written out, and information that is known."""

import math

import pytest
import torch
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood import active_units, aggregate
from tests.evaluation.likelihood.models import seeded

PRIOR = Independent(Normal(torch.zeros(3).double(), torch.ones(3).double()), 1)


def posteriors(kind, count=32):
    mean = torch.randn(count, 3, generator=seeded(), dtype=torch.float64)
    deviation = torch.rand(count, 3, generator=seeded(1), dtype=torch.float64) * 0.5 + 0.1
    diagonal = Independent(Normal(mean, deviation), 1)
    lower = 0.2 * torch.ones(3, 3, dtype=torch.float64).tril(-1) + torch.diag_embed(deviation)
    kinds = {"diagonal": diagonal, "full": MultivariateNormal(mean, scale_tril=lower)}
    return kinds[kind]


def drawn(posterior, count, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return posterior.sample((count,))


@pytest.mark.parametrize("kind", ["diagonal", "full"])
@pytest.mark.parametrize("block", [1, 1000, 2**24])
def test_the_mixture_of_all_posteriors(kind, block):
    posterior = posteriors(kind)
    z = drawn(posterior, 4)
    mixture = MixtureSameFamily(Categorical(torch.ones(32).double()), posterior)
    found = aggregate(posterior, PRIOR, z, block)
    own, marginal = posterior.log_prob(z), mixture.log_prob(z)
    for estimate, values in (
        (found.information, own - marginal),
        (found.divergence, marginal - PRIOR.log_prob(z)),
        (found.rate, own - PRIOR.log_prob(z)),
    ):
        per_image = values.mean(0)
        assert estimate.value == pytest.approx(per_image.mean().item(), abs=1e-11)
        assert estimate.error == pytest.approx(per_image.std().item() / 32**0.5, rel=1e-9)


@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_parts_add_up_to_the_mean_divergence(kind):
    posterior = posteriors(kind)
    z = drawn(posterior, 2000)
    information, divergence, rate = aggregate(posterior, PRIOR, z)
    assert information.value + divergence.value == pytest.approx(rate.value, abs=1e-12)
    normal = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    full = (
        MultivariateNormal(posterior.mean, posterior.covariance_matrix)
        if kind == "full"
        else (MultivariateNormal(posterior.mean, torch.diag_embed(posterior.variance)))
    )
    expected = kl_divergence(full, normal).mean().item()
    error = (posterior.log_prob(z) - PRIOR.log_prob(z)).std().item() / z[..., 0].numel() ** 0.5
    assert rate.value == pytest.approx(expected, abs=4 * error)
    assert 0 <= information.value <= math.log(32)


def test_information_at_its_two_ends():
    """Posteriors that never meet tell which image it was, log N nats; equal ones tell nothing."""
    apart = Independent(Normal(100 * torch.arange(32.0).expand(3, -1).T, torch.ones(3)), 1)
    assert aggregate(apart, PRIOR, drawn(apart, 3)).information.value == pytest.approx(
        math.log(32), abs=1e-4
    )
    equal = Independent(Normal(torch.zeros(32, 3), torch.ones(3)), 1)
    information, divergence, rate = aggregate(equal, PRIOR, drawn(equal, 3))
    for value in (information.value, divergence.value, rate.value):
        assert value == pytest.approx(0, abs=1e-5)


def test_active_units():
    """Variance over images decides, of means; a mean far from 0 does not."""
    means = torch.randn(5000, 4, generator=seeded())
    means *= torch.tensor([1.0, 0.2, 0.05, 0.0])
    means[:, 3] += 7
    assert active_units(means) == 2
    assert active_units(means, threshold=0.1) == 1
    assert active_units(means, threshold=1e-4) == 3
    with pytest.raises(UsageError, match="2 images or more"):
        active_units(means[:1])
