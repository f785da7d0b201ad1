"""The mixture that is fitted after the fact."""

import pytest
import torch
from sklearn.mixture import GaussianMixture

from gen_models.distributions import FittedMixture, StandardNormal
from gen_models.errors import UsageError

from .grids import agreement, integral


def clusters(count=600):
    """Latents (count, 2) around two far points, with covariances of their own."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    left = noise @ torch.tensor([[0.5, 0.3], [0.0, 0.4]]).double() - 2
    right = noise @ torch.tensor([[0.3, -0.2], [0.1, 0.6]]).double() + 1
    return torch.where(torch.arange(count)[:, None] % 3 == 0, left, right)


def fitted(components=2):
    prior = FittedMixture(2, components).double()
    prior.fit(clusters())
    return prior


def test_it_is_the_standard_normal_until_it_is_fitted():
    z = 3 * torch.randn(50, 2)
    torch.testing.assert_close(FittedMixture(2, 4)().log_prob(z), StandardNormal(2)().log_prob(z))


def test_its_density_is_scikit_learns_and_integrates_to_one():
    prior = fitted(3)
    reference = GaussianMixture(3, random_state=0).fit(clusters().numpy())
    z = 2 * torch.randn(100, 2).double()
    scores = torch.from_numpy(reference.score_samples(z.numpy()))
    torch.testing.assert_close(prior().log_prob(z), scores, rtol=0, atol=1e-8)
    assert integral(prior()) == pytest.approx(1, abs=1e-6)


def test_draws_have_the_density_and_follow_from_the_generator():
    prior = fitted()
    z = prior.sample(20_000, torch.Generator().manual_seed(0))
    assert agreement(prior(), z) > 1e-3
    assert torch.equal(z, prior.sample(20_000, torch.Generator().manual_seed(0)))


def test_draws_are_not_ordered_by_component():
    """Of 900 draws a third lies left: the sides change about 400 times, and not once."""
    left = fitted().sample(900, torch.Generator().manual_seed(1))[:, 0] < -0.5
    changes = (left[1:] != left[:-1]).sum().item()
    assert abs(changes - 400) < 5 * 15
    halves = left[:450].sum().item(), left[450:].sum().item()
    assert abs(halves[0] - halves[1]) < 5 * 15


def test_fewer_latents_than_components_are_refused():
    with pytest.raises(UsageError, match="components=4 is more than the 3 latents"):
        FittedMixture(2, 4).fit(torch.randn(3, 2))
    with pytest.raises(UsageError, match="components must be 1 or more"):
        FittedMixture(2, 0)
