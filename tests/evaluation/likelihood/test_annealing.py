"""Annealed importance sampling between known answers: closed forms and quadrature."""

from itertools import pairwise

import pytest
import torch
from torch.distributions import Independent, Normal

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood import (
    Annealing,
    Joint,
    annealed,
    bidirectional,
    gaussian_observation,
    importance_weighted,
    quadrature,
)
from gen_models.evaluation.likelihood.pace import Pace, geometric, sigmoid
from tests.evaluation.likelihood.models import (
    curved,
    diagonal,
    linear,
    not_above,
    seeded,
    within,
)


def test_schedule_is_a_sigmoid():
    betas = sigmoid(1000)
    assert (betas[0], betas[500], betas[-1], len(betas)) == (0, pytest.approx(0.5), 1, 1001)
    steps = torch.tensor(betas).double().diff()
    assert (steps > 0).all()
    # Slope of the sigmoid: p (1 - p) at the end over 1/4 in the middle.
    end = torch.sigmoid(torch.tensor(4.0)).item()
    assert (steps[0] / steps[500]).item() == pytest.approx(4 * end * (1 - end), rel=0.02)


def test_pace_is_read_off_a_walk():
    """Images that sharpen each in its way, but for steps that have not settled, and noise."""
    betas = geometric(200)
    at = torch.tensor(betas).double()[1:, None]
    kappa, scale = torch.tensor([[0.0, 10.0, 1000.0], [2.0, 0.5, 1.0]]).double()
    steps = scale / (1 + kappa * at).sqrt()
    steps[:20] = 7.0
    noise = 0.1 * torch.randn(steps.shape, generator=seeded()).double()
    flat = torch.zeros(201, 2, 3).double()
    pace = Pace.fitted(betas, steps.log() + noise, flat)
    torch.testing.assert_close(pace.scale, scale, rtol=0.1, atol=0)
    torch.testing.assert_close(pace.sharpening, kappa, rtol=0.4, atol=0.2)
    for beta in (0.01, 1.0):
        right = scale / (1 + kappa * beta).sqrt()
        torch.testing.assert_close(pace.step(beta), right, rtol=0.1, atol=0)
    assert pace.stops(4) == [0, 0.25, 0.5, 0.75, 1]  # where nothing varies


def test_stops_are_equally_hard():
    r"""Deviations of log r that fall as 1 / (1 + 300 beta): even in the log of that."""
    betas = geometric(400)
    at = torch.tensor(betas).double()[:, None, None]
    ends = torch.tensor([-1.0, 1.0]).double()[:, None]  # two chains one deviation from their mean
    ratios = ends * torch.tensor([1.0, 5.0]).double() / (1 + 300 * at)  # of two images
    pace = Pace.fitted(betas, torch.zeros(400, 2).double(), ratios)
    stops = torch.tensor(pace.stops(50)).double()
    assert (stops[0], stops[-1], len(stops)) == (0, 1, 51)
    grown = torch.log1p(300 * stops)
    wanted = torch.linspace(0, 1, 51).double() * grown[-1]
    torch.testing.assert_close(grown, wanted, rtol=0, atol=0.01)


def test_acceptance_holds_to_the_end_of_a_sharp_posterior():
    """With one step for the whole walk nothing moved beyond beta = 0.4, and gaps were 8 times."""
    model = linear(variance=1e-4)
    x, z = model.joint.simulate(8, seeded(100))
    found = bidirectional(model.joint, x, z, Annealing(60, chains=8, tuning=60), seeded())
    assert (found.acceptance - 0.65).abs().max() < 0.2
    gap = found.upper - found.lower
    plain = Annealing(60, chains=8, tuning=60, stops="sigmoid")
    wide = bidirectional(model.joint, x, z, plain, seeded())
    assert gap.mean() < 0.5 * (wide.upper - wide.lower).mean()


def test_one_chain_has_the_stops_of_two():
    """The spread of log r over a single chain is nothing, and would put stops anywhere."""
    model = linear(variance=1e-3)
    x, _ = model.joint.simulate(8, seeded(100))
    alone, two = (annealed(model.joint, x, Annealing(2, chains=c), seeded()) for c in (1, 2))
    assert alone.log_weights.shape == (1, 8)
    assert alone.pace.stops(5) == two.pace.stops(5)


def test_both_bounds_hold_and_close():
    """On another such model T = 50, 100 leave 1.85 and .23 nats; here T = 25 leaves 2.2."""
    model = linear()
    x, z = model.joint.simulate(32, seeded(100))
    exact = model.evidence.log_prob(x)
    gaps = []
    for temperatures in (25, 100):
        found = bidirectional(model.joint, x, z, Annealing(temperatures, tuning=50), seeded())
        assert not_above(found.lower - exact)
        assert not_above(exact - found.upper)
        assert (found.acceptance - 0.65).abs().max() < 0.15
        gaps.append((found.upper - found.lower).mean().item())
    assert gaps[0] > 3 * gaps[1]
    assert gaps[1] < 0.5


def test_estimators_are_ordered():
    """L_1 <= L_5 <= L_50 <= log p(x) <= the upper bound."""
    model = linear()
    x, z = model.joint.simulate(64, seeded(100))
    q, exact = diagonal(model, x), model.evidence.log_prob(x)
    values = [importance_weighted(model.joint, q, x, k, seeded(k)).value for k in (1, 5, 50)]
    found = bidirectional(model.joint, x, z, Annealing(100, chains=8, tuning=50), seeded())
    ladder = [*values, exact, found.upper]
    for lower, upper in pairwise(ladder):
        assert not_above(lower - upper)
    assert not_above(found.lower - exact)


def test_weights_are_unbiased():
    """E w = p(x), with so few temperatures and so poor a step that log w is far off."""
    model = linear(latent_dim=1, pixels=2, variance=0.05)
    x, _ = model.joint.simulate(1, seeded(100))
    annealing = Annealing(temperatures=4, chains=40_000, leapfrogs=2, tuning=4)
    found = annealed(model.joint, x, annealing, seeded())
    log_ratio = found.log_weights[:, 0] - model.evidence.log_prob(x)
    assert log_ratio.mean() < -0.3
    assert within(log_ratio.exp() - 1, 4)


def test_backward_weights_are_unbiased_for_the_inverse():
    """E 1 / w = 1 / p(x) from exact draws of the posterior; here one image from each of many."""
    model = linear(latent_dim=1, pixels=2, variance=0.5)
    one, _ = model.joint.simulate(1, seeded(100))
    x = one.expand(20_000, -1)
    torch.manual_seed(0)
    z = model.posterior(x).sample()
    annealing = Annealing(temperatures=6, chains=1, leapfrogs=2, tuning=4)
    found = bidirectional(model.joint, x, z, annealing, seeded())
    log_ratio = model.evidence.log_prob(x) - found.upper
    assert log_ratio.mean() < -0.02
    assert within(log_ratio.exp() - 1, 4)


def test_a_start_at_the_posterior_is_exact():
    """The ratio is p(x) wherever the chains are: no error at any number of temperatures."""
    model = linear()
    x, z = model.joint.simulate(8, seeded(100))
    found = bidirectional(
        model.joint, x, z, Annealing(3, chains=2, tuning=3), seeded(), start=model.posterior(x)
    )
    exact = model.evidence.log_prob(x)
    torch.testing.assert_close(found.lower, exact, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.upper, exact, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.effective, torch.full((8,), 2.0).double())


def test_an_encoder_is_a_better_start():
    model = linear()
    x, z = model.joint.simulate(32, seeded(100))
    exact, annealing = model.evidence.log_prob(x), Annealing(20, tuning=20)
    near = bidirectional(model.joint, x, z, annealing, seeded(), start=diagonal(model, x))
    far = bidirectional(model.joint, x, z, annealing, seeded())
    assert not_above(near.lower - exact)
    assert not_above(exact - near.upper)
    assert (near.upper - near.lower).mean() < 0.2 * (far.upper - far.lower).mean()


def test_curved_decoder_lies_between_the_bounds():
    joint = curved()
    x, z = joint.simulate(24, seeded(100))
    exact = quadrature(joint, x, tolerance=1e-4)
    found = bidirectional(joint, x, z, Annealing(100, tuning=50), seeded())
    assert not_above(found.lower - exact)
    assert not_above(exact - found.upper)
    assert (found.upper - found.lower).mean() < 0.5
    assert found.lower.dtype == torch.float64
    assert found.latents.dtype == torch.float32


def test_chains_end_at_draws_of_the_posterior():
    model = linear(latent_dim=2, pixels=3)
    x, _ = model.joint.simulate(1, seeded(100))
    found = annealed(model.joint, x, Annealing(60, chains=4000, tuning=30), seeded())
    posterior = model.posterior(x)
    share = found.log_weights[:, 0].softmax(0)
    error = 4 / found.effective[0] ** 0.5
    mean = share @ found.latents[:, 0]
    spread = share @ (found.latents[:, 0] - mean).square()
    assert ((mean - posterior.mean[0]) / posterior.stddev[0]).abs().max() < error
    assert (spread / posterior.variance[0] - 1).abs().max() < 2 * error


def test_each_image_has_its_own_step():
    """The first image's posterior is the prior, nearly; the others' are narrow."""
    model = linear(latent_dim=2, pixels=3)
    scale = torch.tensor([[0.1], [4.0], [4.0]], dtype=torch.float64)

    def observe(z):  # (chains, images) in this order, whatever the batch
        weights = scale.repeat(len(z) // 3, 1)
        normal = Normal((z * weights) @ model.weight.T, model.deviation, validate_args=False)
        return Independent(normal, 1, validate_args=False)

    found = annealed(Joint(model.prior, observe), torch.zeros(3, 3), Annealing(50), seeded())
    step = found.pace.step(1.0)
    assert step.shape == (3,)
    assert step[0] > 3 * step[1:].max()
    assert (found.acceptance - 0.65).abs().max() < 0.2


@pytest.mark.parametrize("batch", [1, 5, 12, 1000])
def test_blocks_change_nothing(batch):
    model = linear()
    x, z = model.joint.simulate(3, seeded(100))
    whole, parts = (
        bidirectional(model.joint, x, z, Annealing(5, 4, 3, 5, batch=size), seeded())
        for size in (None, batch)
    )
    torch.testing.assert_close(whole.lower, parts.lower, rtol=0, atol=1e-9)
    torch.testing.assert_close(whole.upper, parts.upper, rtol=0, atol=1e-9)


def test_generator_alone_decides_and_progress_ends():
    model = linear()
    x, z = model.joint.simulate(3, seeded(100))
    seen = []
    state = torch.get_rng_state()
    annealing = Annealing(7, chains=2, tuning=5)
    one = bidirectional(
        model.joint, x, z, annealing, seeded(), progress=lambda *now: seen.append(now)
    )
    assert torch.equal(state, torch.get_rng_state())
    again = bidirectional(model.joint, x, z, annealing, seeded())
    assert torch.equal(one.lower, again.lower)
    assert torch.equal(one.upper, again.upper)
    total = seen[-1][1]
    assert seen == [(done, total) for done in range(1, total + 1)]
    alone = annealed(model.joint, x, annealing, seeded())
    assert torch.equal(alone.lower, one.lower)
    assert alone.upper is None


def test_mistakes_are_told():
    for name in ("temperatures", "chains", "leapfrogs", "tuning", "batch"):
        with pytest.raises(UsageError, match=f"annealing.{name} must be 1 or more"):
            Annealing(**{name: 0})
    with pytest.raises(UsageError, match="acceptance must lie"):
        Annealing(acceptance=1.0)
    joint = curved()
    x, _ = joint.simulate(3, seeded())
    x[1] = torch.nan
    with pytest.raises(UsageError, match="weight of image 1 is not finite"):
        annealed(joint, x, Annealing(1), seeded())
    broken = Joint(joint.prior, gaussian_observation(lambda z: joint.observe(z).mean / 0, 1.0))
    with pytest.raises(UsageError, match="weight of image 0 is not finite"):
        annealed(broken, x, Annealing(1), seeded())
