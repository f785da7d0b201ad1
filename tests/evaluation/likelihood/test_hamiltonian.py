"""Hamiltonian Monte Carlo: what it leaves invariant, and what can be undone."""

import math

import pytest
import torch

from gen_models.evaluation.likelihood import Joint
from gen_models.evaluation.likelihood.bridge import Bridge
from gen_models.evaluation.likelihood.hamiltonian import leapfrog, transition
from tests.evaluation.likelihood.models import curved, linear, precision, seeded


def bridge(model, count=1):
    x, z = model.joint.simulate(count, seeded(100))
    return Bridge(model.joint, x, None, None), z


@pytest.mark.parametrize("from_encoder", [False, True])
def test_path_is_geometric(from_encoder):
    """Log s^(1 - beta) p(x, z)^beta, and its gradient: a wrong one would only cost acceptance."""
    model = linear()
    x, _ = model.joint.simulate(3, seeded(100))
    q = model.posterior(x + 1) if from_encoder else None
    z = torch.randn(4, 3, 5, generator=seeded(), dtype=torch.float64, requires_grad=True)
    log_start = model.joint.log_prior(z) if q is None else q.log_prob(z)
    expected = 0.7 * log_start + 0.3 * model.joint.log_joint(z, x)
    [slope] = torch.autograd.grad(expected.sum(), z)
    point = Bridge(model.joint, x, q, 5)(z)
    torch.testing.assert_close(point.log_density(0.3), expected.detach(), rtol=1e-10, atol=1e-9)
    torch.testing.assert_close(point.slope(0.3), slope, rtol=1e-10, atol=1e-9)


def test_leapfrog_is_undone_by_turning_round():
    path, _ = bridge(linear(), 3)
    z, momentum = torch.randn(2, 4, 3, 5, generator=seeded(), dtype=torch.float64)
    step = torch.full((4, 3, 1), 0.1).double()
    end, pushed = leapfrog(path, path(z), momentum, 0.7, step, 10)
    assert (end.z - z).abs().max() > 0.1
    back, turned = leapfrog(path, end, -pushed, 0.7, step, 10)
    torch.testing.assert_close(back.z, z, rtol=0, atol=1e-11)
    torch.testing.assert_close(-turned, momentum, rtol=0, atol=1e-11)


def test_leapfrog_keeps_volume():
    joint = curved()
    x, _ = joint.simulate(1, seeded(100))
    path = Bridge(joint, x, None, None)
    start = torch.tensor([0.3, -0.5, 0.8, 0.2])

    def end(state):
        z, momentum = state.view(2, 1, 1, 2)
        point, pushed = leapfrog(path, path(z), momentum, 1.0, torch.full((1, 1, 1), 0.05), 3)
        return torch.cat((point.z, pushed), -1).flatten()

    nudges = 1e-2 * torch.eye(4)
    columns = [(end(start + n) - end(start - n)) / 2e-2 for n in nudges]
    assert torch.linalg.det(torch.stack(columns)).item() == pytest.approx(1, abs=5e-3)


def test_energy_is_kept_to_second_order():
    path, _ = bridge(linear())
    z, momentum = torch.randn(2, 1, 1, 5, generator=seeded(), dtype=torch.float64)
    start = path(z)

    def error(step, leapfrogs):
        steps = torch.full((1, 1, 1), step).double()
        end, pushed = leapfrog(path, start, momentum, 1.0, steps, leapfrogs)
        kinetic = 0.5 * (pushed.square() - momentum.square()).sum()
        return (kinetic - end.log_density(1.0) + start.log_density(1.0)).abs().item()

    assert error(0.02, 10) / error(0.01, 20) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_density_of_the_path_is_left_invariant(beta):
    """Draws of the Gaussian at beta stay draws of it: mean and covariance, by many chains.

    The step is wide, so that two trajectories of three are refused and the correction matters.
    """
    model = linear(latent_dim=2, pixels=3, variance=0.5)
    path, _ = bridge(model)
    unit = torch.eye(2).double()
    covariance = torch.linalg.inv(unit + beta * (precision(model) - unit))
    residual = (path.pixels - model.bias) @ model.weight / model.deviation**2
    mean = beta * residual @ covariance
    chains = 40_000
    noise = torch.randn(chains, 1, 2, generator=seeded(), dtype=torch.float64)
    point = path(mean + noise @ torch.linalg.cholesky(covariance).T)
    step = torch.tensor([1.75]).double() * covariance.diagonal().min().sqrt()
    generator, moved = seeded(1), point.z
    for _ in range(4):
        point, acceptance = transition(path, point, beta, step, 3, generator)
    assert 0.1 < acceptance.mean() < 0.95
    assert (point.z != moved).any(-1).double().mean() > 0.4
    z = point.z[:, 0]
    deviation = covariance.diagonal().sqrt()
    assert ((z.mean(0) - mean[0]) / deviation).abs().max() < 4 / chains**0.5
    assert ((z.T.cov() - covariance) / deviation.outer(deviation)).abs().max() < 6 / chains**0.5


def test_values_and_slopes_travel_with_the_chains():
    """After refusals and acceptances alike, a point says of its z what the path says of it."""
    path, _ = bridge(linear(), 3)
    point = path(torch.randn(50, 3, 5, generator=seeded(), dtype=torch.float64))
    point, acceptance = transition(path, point, 0.0, torch.full((3,), 1.9), 5, seeded(1))
    assert 0.1 < acceptance.mean() < 0.9
    for kept, fresh in zip(point, path(point.z), strict=True):
        torch.testing.assert_close(kept, fresh, rtol=1e-10, atol=1e-8)


def test_chains_with_one_period_do_not_stall():
    """A leapfrog of step 2 sin(pi / 10) turns a standard normal by 2 pi / 10: ten end at the start.

    A chain of such trajectories would never move; jitter breaks the period.
    """
    path, _ = bridge(linear())
    step = torch.tensor([2 * math.sin(math.pi / 10)], dtype=torch.float64)
    z, momentum = torch.randn(2, 2000, 1, 5, generator=seeded(), dtype=torch.float64)
    fixed, _ = leapfrog(path, path(z), momentum, 0.0, step[:, None], 10)
    torch.testing.assert_close(fixed.z, z, rtol=0, atol=1e-10)
    point, _ = transition(path, path(z), 0.0, step, 10, seeded(1))
    assert (point.z * z).mean() < 0.5


@pytest.mark.parametrize("model", [linear(), curved()])
def test_divergence_is_refused(model):
    """A step beyond all bounds leaves the chains where they were, and never decodes a NaN."""
    joint = getattr(model, "joint", model)
    x, z = joint.simulate(4, seeded(100))

    def observe(latents):
        assert latents.isfinite().all()
        return joint.observe(latents)

    path = Bridge(Joint(joint.prior, observe), x, None, None)
    step = torch.full((4,), 1e30).to(z)
    point, acceptance = transition(path, path(z[None]), 1.0, step, 20, seeded())
    assert torch.equal(point.z[0], z)
    assert (acceptance == 0).all()
    assert all(part.isfinite().all() for part in point)
