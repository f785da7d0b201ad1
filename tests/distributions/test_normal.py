"""Densities and divergences in few passes, against torch's own."""

import pytest
import torch
from torch.distributions import Independent, Laplace, Normal, kl_divergence

from gen_models.distributions import StandardNormal
from gen_models.distributions.normal import Spherical


def test_a_spherical_density_is_that_of_independent_normals():
    mean, deviation = torch.randn(5, 1, 3, 4), torch.tensor(0.3)
    own = Spherical(mean, deviation, 3)
    theirs = Independent(Normal(mean, deviation), 3)
    for x in (torch.rand(5, 1, 3, 4), torch.rand(7, 5, 1, 3, 4), torch.rand(1, 3, 4)):
        torch.testing.assert_close(own.log_prob(x), theirs.log_prob(x))
    assert own.log_prob(torch.rand(7, 5, 1, 3, 4)).shape == (7, 5)
    assert torch.equal(own.mean, theirs.mean)


def test_its_gradients_are_those_of_independent_normals():
    x = torch.rand(5, 1, 3, 4, dtype=torch.float64)
    gradients = []
    for make in (
        lambda m, d: Spherical(m, d, 3),
        lambda m, d: Independent(Normal(m, d), 3),
    ):
        mean = torch.linspace(-1, 1, 60, dtype=torch.float64).view(x.shape).requires_grad_()
        deviation = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        gradients.append(
            torch.autograd.grad(make(mean, deviation).log_prob(x).sum(), (mean, deviation))
        )
    for own, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(own, theirs)


def test_the_divergence_from_the_standard_normal_is_torchs():
    mean, deviation = torch.randn(6, 3), torch.rand(6, 3) + 0.1
    posterior = Independent(Normal(mean, deviation), 1)
    theirs = kl_divergence(posterior, Independent(Normal(torch.zeros(3), torch.ones(3)), 1))
    torch.testing.assert_close(kl_divergence(posterior, StandardNormal(latent_dim=3)()), theirs)


def test_other_laws_have_no_closed_divergence_here():
    other = Independent(Laplace(torch.zeros(6, 3), torch.ones(6, 3)), 1)
    with pytest.raises(NotImplementedError):
        kl_divergence(other, StandardNormal(latent_dim=3)())
