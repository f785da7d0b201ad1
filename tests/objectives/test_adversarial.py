"""Closed-form optima of the games (the logit and the losses of two known densities)."""

import math

import pytest
import torch
from torch.distributions import Normal

from gen_models.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Relativistic

GAMES = [NonSaturating(), Minimax(), LeastSquares(), Hinge(), Relativistic()]
GRID = torch.linspace(-12, 13, 500_001, dtype=torch.float64)
P, Q = Normal(0.0, 1.0), Normal(1.5, 1.0)


def expected(values, density):
    return torch.trapezoid(values * density.log_prob(GRID).exp(), GRID).item()


def discriminator_loss(objective, logits):
    """E over x ~ p and G(z) ~ q; the losses tested are sums of a real and a fake part."""
    zero = objective.discriminator(torch.zeros(()), torch.zeros(())).item()
    real = objective.discriminator(logits, torch.zeros_like(logits))
    fake = objective.discriminator(torch.zeros_like(logits), logits)
    return expected(real, P) + expected(fake, Q) - zero


@pytest.mark.parametrize("game", GAMES, ids=lambda g: type(g).__name__)
def test_values_are_per_sample(game):
    real, fake = torch.randn(2, 5)
    assert game.discriminator(real, fake).shape == (5,)
    assert game.generator(real, fake).shape == (5,)


@pytest.mark.parametrize("game", [NonSaturating(), Minimax()])
def test_optimal_logit_of_cross_entropy_is_the_log_ratio(game):
    """-1.5 x + 1.125 for N(0, 1) against N(1.5, 1); the loss there is 2 log 2 - 2 JSD = 0.9440."""
    best = P.log_prob(GRID) - Q.log_prob(GRID)
    torch.testing.assert_close(best, -1.5 * GRID + 1.125)
    loss = discriminator_loss(game, best)
    mixture = (0.5 * (P.log_prob(GRID).exp() + Q.log_prob(GRID).exp())).log()
    jsd = 0.5 * expected(P.log_prob(GRID) - mixture, P) + 0.5 * expected(
        Q.log_prob(GRID) - mixture, Q
    )
    assert loss == pytest.approx(2 * math.log(2) - 2 * jsd, abs=1e-6)
    assert loss == pytest.approx(0.9440, abs=5e-4)
    for other in (best + 0.1, 1.05 * best):
        assert discriminator_loss(game, other) > loss


def test_optimal_hinge_loss_is_twice_one_minus_total_variation():
    best = torch.sign(P.log_prob(GRID) - Q.log_prob(GRID))
    assert discriminator_loss(Hinge(), best) == pytest.approx(0.9065, abs=1e-4)


def test_optimal_least_squares_loss():
    ratio = P.log_prob(GRID).exp() / (P.log_prob(GRID).exp() + Q.log_prob(GRID).exp())
    assert discriminator_loss(LeastSquares(), ratio) == pytest.approx(0.1548, abs=1e-4)


def test_least_squares_is_a_quarter_where_nothing_can_be_told():
    half = torch.full((), 0.5)
    assert LeastSquares().discriminator(half, half).item() == 0.25


def test_relativistic_loss_is_log_2_for_both_where_the_discriminator_is_constant():
    logits = torch.full((4,), 7.0)
    for side in (Relativistic().discriminator, Relativistic().generator):
        torch.testing.assert_close(side(logits, logits), torch.full((4,), math.log(2)))


def test_the_minimax_game_is_zero_sum_and_saturates_where_the_other_does_not():
    fake = torch.tensor([-20.0], requires_grad=True)
    [saturated] = torch.autograd.grad(Minimax().generator(None, fake).sum(), fake)
    [alive] = torch.autograd.grad(NonSaturating().generator(None, fake).sum(), fake)
    assert saturated.abs().item() < 1e-8
    assert alive.item() == pytest.approx(-1, abs=1e-6)
    real, fake = torch.tensor([100.0]), torch.randn(1)
    assert (
        Minimax().discriminator(real, fake) + Minimax().generator(None, fake)
    ).item() == pytest.approx(0)


@pytest.mark.parametrize("game", GAMES, ids=lambda g: type(g).__name__)
def test_each_side_pulls_its_own_way(game):
    real, fake = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    up, down = torch.autograd.grad(game.discriminator(real, fake).sum(), (real, fake))
    assert up <= 0 <= down
    assert up < down
    [pull] = torch.autograd.grad(game.generator(real.detach(), fake).sum(), fake)
    assert pull < 0
