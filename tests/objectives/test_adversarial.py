"""Closed-form optima of the games (the logit and the losses of two known densities)."""

import math

import pytest
import torch
from torch.distributions import Normal

from gen_models.errors import UsageError
from gen_models.objectives import (
    BoundaryEquilibrium,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    Wasserstein,
)
from gen_models.recipes import build, describe

GAMES = [
    NonSaturating(),
    Minimax(),
    LeastSquares(),
    Hinge(),
    Relativistic(),
    Wasserstein(),
    BoundaryEquilibrium(),
]
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


def test_the_hinge_is_the_discriminators_alone():
    fake = torch.tensor([-3.0, 0.5, 2.0, 7.0])
    assert Hinge().generator(None, fake).tolist() == [3.0, -0.5, -2.0, -7.0]


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


def test_the_wasserstein_loss_is_minus_the_shift_times_the_slope_of_a_linear_critic():
    for slope in (-1.0, 0.5):
        loss = discriminator_loss(Wasserstein(), slope * GRID)
        assert loss == pytest.approx(1.5 * slope, abs=1e-6)
    assert Wasserstein().generator(None, torch.tensor([3.0])).item() == -3


def test_the_balance_of_errors_follows_its_rule_within_0_and_1():
    """It is k + lambda (gamma L(x) - L(G(z))), wherever that lies."""
    game, expected = BoundaryEquilibrium(ratio=0.5, rate=0.2), 0.0
    for made in (0.1, 0.3, 0.4, 0.9, 2.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0):
        errors, of_made = torch.tensor([4.0, 6.0]), torch.tensor([made, made])
        loss = game.discriminator(-errors, -of_made)
        torch.testing.assert_close(loss, errors - expected * made)
        expected = min(1.0, max(0.0, expected + 0.2 * (0.5 * 5.0 - made)))
        measured = game.measures(-errors, -of_made)
        assert measured["k"].item() == pytest.approx(expected)
        assert measured["convergence"].item() == pytest.approx(5 + abs(0.5 * 5 - made))
    assert expected == 1.0
    torch.testing.assert_close(game.generator(None, -of_made), of_made)


def test_the_balance_rests_in_evaluation_and_is_kept_in_the_state():
    game = BoundaryEquilibrium(rate=0.5)
    pair = torch.full((2,), -0.4), torch.full((2,), -0.1)
    game.discriminator(*pair)
    assert game.state_dict()["k"].item() == pytest.approx(0.5 * (0.75 * 0.4 - 0.1))
    before = game.k.clone()
    game.eval()
    game.discriminator(*pair)
    assert torch.equal(game.k, before)
    again = build(describe(game))
    again.load_state_dict(game.state_dict())
    assert torch.equal(again.k, before)
    assert (again.ratio, again.rate) == (0.75, 0.5)


def test_the_loss_learns_although_the_balance_has_moved_since():
    game = BoundaryEquilibrium(rate=0.5)
    real, fake = torch.tensor([-0.4], requires_grad=True), torch.tensor([-0.1], requires_grad=True)
    game.k.fill_(0.25)
    slopes = torch.autograd.grad(game.discriminator(real, fake).sum(), (real, fake))
    assert [slope.item() for slope in slopes] == [-1.0, 0.25]
    assert not game.k.requires_grad
    measured = game.measures(real, fake)["k"]
    before = measured.item()
    game.discriminator(real, fake)
    assert measured.item() == before != game.k.item()


@pytest.mark.parametrize("wrong", [{"ratio": 0.0}, {"ratio": 1.5}, {"rate": -1.0}])
def test_a_balance_out_of_range_is_refused(wrong):
    with pytest.raises(UsageError, match=rf"model\.objective\.{next(iter(wrong))} must be"):
        BoundaryEquilibrium(**wrong)
