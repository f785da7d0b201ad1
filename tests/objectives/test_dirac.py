"""The Dirac-GAN: the smallest game whose dynamics are known (Mescheder et al., 2018).

Real data are 0, generated ones theta, and the discriminator is D(x) = psi x.
"""

import pytest
import torch

from gen_models.objectives import R1, R2, Minimax, NonSaturating

HALF = 0.5  # slope of the losses' function at 0


def velocity(state, objective, penalties):
    """Where gradient descent of both players goes from (theta, psi), (2,)."""
    theta, psi = state.unbind()
    real = torch.zeros(1, 1, 1, 1, dtype=state.dtype)
    fake = theta.reshape(1, 1, 1, 1)

    def critic(x):
        return psi * x.flatten()

    lost = objective.generator(None, critic(fake)).sum()
    paid = objective.discriminator(critic(real), critic(fake)).sum()
    for penalty in penalties:
        paid = paid + penalty.weight * penalty(critic, real, fake).sum()
    (down,) = torch.autograd.grad(lost, theta, create_graph=True)
    (up,) = torch.autograd.grad(paid, psi, create_graph=True)
    return -torch.stack([down, up])


def eigenvalues(objective, penalties):
    """Of the Jacobian at equilibrium, (2,), by autograd."""
    at_rest = torch.zeros(2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda state: velocity(state, objective, penalties), at_rest
    )
    return torch.linalg.eigvals(jacobian)


def run(objective, penalties, steps, rate=0.1, alternating=False):
    """Distances from equilibrium after each step from (1, 1)."""
    state, norms = torch.ones(2, dtype=torch.float64), []
    for _ in range(steps):
        for moves in ([0.0, 1.0], [1.0, 0.0]) if alternating else ([1.0, 1.0],):
            state.requires_grad_()
            step = rate * torch.tensor(moves) * velocity(state, objective, penalties)
            state = (state + step).detach()
        norms.append(state.norm().item())
    return norms


@pytest.mark.parametrize("objective", [Minimax(), NonSaturating()], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("players", [1, 2], ids=["r1", "r1_r2"])
def test_the_penalty_damps_the_oscillation_as_known(objective, gamma, players):
    """-g/2 +- sqrt(g^2/4 - 1/4), g = gamma for R1, and twice that for R1 and R2."""
    penalties = [R1(gamma), R2(gamma)][:players]
    damping = torch.tensor(players * gamma, dtype=torch.complex128)
    root = (damping.square() / 4 - HALF**2).sqrt()
    expected = torch.stack([-damping / 2 - root, -damping / 2 + root])
    found = eigenvalues(objective, penalties)
    order = lambda values: sorted(values.tolist(), key=lambda v: (round(v.real, 6), v.imag))  # noqa: E731
    # A double root is known to the square root of the precision.
    assert order(found) == pytest.approx(order(expected), abs=1e-7)


def test_the_zero_sum_game_spirals_outward_where_players_move_at_once():
    norms = run(Minimax(), [], 500)
    assert norms[-1] == pytest.approx(2.18, abs=0.01)
    assert norms[99] < norms[199] < norms[299] < norms[399] < norms[499]


@pytest.mark.parametrize(("objective", "norm"), [(Minimax(), 1.8e-3), (NonSaturating(), 1.1e-3)])
def test_the_penalty_leads_both_games_to_equilibrium(objective, norm):
    assert run(objective, [R1(0.3)], 500)[-1] == pytest.approx(norm, rel=0.05)


def test_the_zero_sum_game_stays_on_its_orbit_where_players_take_turns():
    norms = run(Minimax(), [], 500, alternating=True)
    assert min(norms) == pytest.approx(1.37, abs=0.01)
    assert max(norms) == pytest.approx(1.42, abs=0.01)
