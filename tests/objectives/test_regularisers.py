"""What autoencoders pay: each regulariser against its formula."""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from gen_models.errors import UsageError
from gen_models.objectives import JacobianPenalty, LatentNorm, PriorDiscrepancy, WeightDecay
from gen_models.objectives.aggregate import maximum_mean_discrepancy
from gen_models.objectives.regularisers import Encoded

LATENTS = 3


def decoder(pixels):
    torch.manual_seed(0)
    layers = nn.Linear(LATENTS, 7), nn.Tanh(), nn.Linear(7, pixels), nn.Unflatten(1, (1, 1, pixels))
    return nn.Sequential(*layers).double()


def encoded(network, z):
    prior = Independent(Normal(torch.zeros(LATENTS).to(z), torch.ones(LATENTS).to(z)), 1)
    return Encoded(z, network, list(network.parameters()), prior)


def slopes(network, z, step=1e-5):
    """Squared norms of the Jacobians by central differences, (B,)."""
    total = torch.zeros(len(z), dtype=torch.float64)
    with torch.no_grad():
        for direction in torch.eye(LATENTS, dtype=torch.float64):
            change = network(z + step * direction) - network(z - step * direction)
            total += (change / (2 * step)).square().flatten(1).sum(1)
    return total


def test_the_gradient_penalty_of_one_pixel_is_that_of_finite_differences():
    network, z = decoder(1), torch.randn(5, LATENTS).double()
    penalty = JacobianPenalty(0.5)(encoded(network, z))
    torch.testing.assert_close(penalty.detach(), 0.5 * slopes(network, z), rtol=1e-8, atol=0)


def test_the_gradient_penalty_of_many_pixels_is_so_on_average():
    network, z = decoder(6), torch.randn(1, LATENTS).double()
    draws = JacobianPenalty(1.0)(encoded(network, z.expand(20_000, -1))).detach()
    error = draws.std() / len(draws) ** 0.5
    assert abs(draws.mean() - slopes(network, z)[0]) < 4 * error


def test_the_gradient_penalty_teaches_in_training_and_is_known_in_validation():
    network, z = decoder(1), torch.randn(5, LATENTS).double().requires_grad_()
    expected = slopes(network, z.detach())
    penalty = JacobianPenalty(1.0)(encoded(network, z))
    gradients = torch.autograd.grad(penalty.sum(), [z, network[0].weight, network[2].weight])
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            known = JacobianPenalty(1.0)(encoded(network, z * 1))
        torch.testing.assert_close(known.clone(), expected, rtol=1e-8, atol=0)


def test_norm_and_decay_are_sums_of_squares():
    network, z = decoder(2), torch.tensor([[1.0, 2.0, 2.0], [0.0, 0.0, 3.0]]).double()
    torch.testing.assert_close(
        LatentNorm(0.5)(encoded(network, z)), torch.tensor([2.25, 2.25]).double()
    )
    total = sum(p.square().sum() for p in network.parameters())
    torch.testing.assert_close(WeightDecay(0.1)(encoded(network, z)), 0.1 * total)


def test_the_discrepancy_is_from_as_many_draws_of_the_prior():
    network, z = decoder(1), 2 + torch.randn(64, LATENTS).double()
    torch.manual_seed(5)
    cost = PriorDiscrepancy(3.0, scales=(1.0,))(encoded(network, z))
    torch.manual_seed(5)
    other = torch.normal(torch.zeros(64, LATENTS).double(), torch.ones(64, LATENTS).double())
    torch.testing.assert_close(cost, 3 * maximum_mean_discrepancy(z, other, (1.0,)))
    assert cost > 0.5


@pytest.mark.parametrize("kind", [JacobianPenalty, LatentNorm, PriorDiscrepancy, WeightDecay])
def test_negative_weights_are_refused(kind):
    with pytest.raises(UsageError, match=r"regularisers\.weight must be 0 or more"):
        kind(-1.0)
