"""Importance sampling where log p(x) is known, and its two loose relatives."""

import math
from itertools import pairwise

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from gen_models.distributions import FlowPrior, GaussianMixture, StandardNormal, TwoLevelPrior
from gen_models.errors import UsageError
from gen_models.evaluation.likelihood import (
    Joint,
    gaussian_observation,
    importance_weighted,
    kernel_density,
    prior_sampling,
    tuned_kernel_density,
)
from tests.evaluation.likelihood.models import (
    curved,
    diagonal,
    linear,
    not_above,
    precision,
    seeded,
    within,
)


def estimate(model, posterior, x, draws, seed=0, batch=4096):
    return importance_weighted(model.joint, posterior, x, draws, seeded(seed), batch)


def test_weights_of_the_exact_posterior_are_constant():
    model = linear()
    x, _ = model.joint.simulate(20, seeded(100))
    for draws in (1, 7):
        value, effective = estimate(model, model.posterior(x), x, draws)
        torch.testing.assert_close(value, model.evidence.log_prob(x), rtol=0, atol=1e-10)
        torch.testing.assert_close(effective, torch.full((20,), draws).double())


def gaps_written_out(model, draws, count):
    """The gap log p(x) - L_K of the best diagonal posterior, `count` draws of it: no image enters.

    With standard normal noise e, log w - log p(x) = (log |R| - e' (R - I) e) / 2, where R is the
    posterior's precision scaled to a diagonal of ones.
    """
    exact = precision(model)
    deviation = exact.diagonal().rsqrt()
    scaled = exact * deviation.outer(deviation)
    noise = torch.randn(draws, count, 5, generator=seeded(7), dtype=torch.float64)
    quadratic = ((noise @ scaled - noise) * noise).sum(-1)
    log_ratio = 0.5 * (torch.logdet(scaled) - quadratic)
    return math.log(draws) - log_ratio.logsumexp(0)


@pytest.mark.parametrize(("draws", "images"), [(1, 4000), (5, 4000), (50, 1000)])
def test_gap_closes_with_draws(draws, images):
    model = linear()
    x, _ = model.joint.simulate(images, seeded(100))
    missing = model.evidence.log_prob(x) - estimate(model, diagonal(model, x), x, draws).value
    expected = gaps_written_out(model, draws, 20_000)
    error = (missing.var() / len(missing) + expected.var() / len(expected)).sqrt()
    assert abs(missing.mean() - expected.mean()) < 3 * error
    assert missing.mean() > 2 * error
    if draws == 1:  # the divergence to the exact posterior, by its closed form
        assert expected.mean().item() == pytest.approx(0.3208, abs=0.02)


def test_value_is_the_log_mean_of_the_weights():
    model = linear()
    x, _ = model.joint.simulate(2, seeded(100))
    q = diagonal(model, x)
    found = estimate(model, q, x, 6)
    weights = torch.stack([estimate(model, q, x, k).value.exp() * k for k in range(1, 7)])
    single = torch.cat((weights[:1], weights.diff(dim=0)))  # each draw's own weight
    torch.testing.assert_close(found.value, single.mean(0).log())
    expected = single.sum(0).square() / single.square().sum(0)
    torch.testing.assert_close(found.effective, expected, rtol=1e-8, atol=0)
    assert (found.effective >= 1).all()
    assert (found.effective <= 6).all()


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 20, 1000])
def test_blocks_change_nothing(batch):
    """13 draws of 3 images: blocks smaller than the images, and a short last one, count fully."""
    model = linear()
    x, _ = model.joint.simulate(3, seeded(100))
    expected = estimate(model, diagonal(model, x), x, 13)
    found = estimate(model, diagonal(model, x), x, 13, batch=batch)
    torch.testing.assert_close(found.value, expected.value, rtol=0, atol=1e-11)
    torch.testing.assert_close(found.effective, expected.effective, rtol=1e-10, atol=0)


def test_any_posterior_will_do():
    model = linear()
    x, _ = model.joint.simulate(2000, seeded(100))
    exact = model.posterior(x)
    wide = MultivariateNormal(exact.mean + 0.05, scale_tril=1.2 * exact.scale_tril)
    value = estimate(model, wide, x, 1).value
    gap = model.divergence(x, wide.mean, wide.scale_tril)
    assert within(value - model.evidence.log_prob(x) + gap)


def test_generator_alone_decides():
    model = linear()
    x, _ = model.joint.simulate(3, seeded(100))
    state = torch.get_rng_state()
    one = estimate(model, diagonal(model, x), x, 9).value
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(5)
    assert torch.equal(one, estimate(model, diagonal(model, x), x, 9).value)
    assert not torch.equal(one, estimate(model, diagonal(model, x), x, 9, seed=1).value)


def test_draws_of_the_prior_are_a_loose_lower_bound():
    model = linear()
    x, _ = model.joint.simulate(60, seeded(100))
    exact = model.evidence.log_prob(x)
    few, many = (prior_sampling(model.joint, x, k, seeded(), 4096) for k in (50, 1000))
    assert 2 < (exact - many.value).mean() < (exact - few.value).mean()
    assert many.effective.mean() < 10
    # In one dimension with a wide likelihood it is not loose at all.
    easy = linear(latent_dim=1, pixels=2, variance=4.0)
    x, _ = easy.joint.simulate(60, seeded(100))
    value = prior_sampling(easy.joint, x, 2000, seeded(), 4096).value
    torch.testing.assert_close(value, easy.evidence.log_prob(x), rtol=0, atol=0.1)


def test_kernels_on_decoded_draws_are_draws_of_the_prior():
    """With the kernel as wide as the observation's noise: one number, from the same z."""
    model = linear()
    x, _ = model.joint.simulate(1, seeded(100))
    value = prior_sampling(model.joint, x, 500, seeded(1), 100).value
    z = []
    observe = lambda latents: z.append(latents) or model.observe(latents)  # noqa: E731
    prior_sampling(Joint(model.prior, observe), x, 500, seeded(1), 100)
    means = [model.observe(part).mean for part in z]
    density = kernel_density(means, x, model.deviation)
    torch.testing.assert_close(density, value, rtol=0, atol=1e-10)


def test_kernel_density_written_out():
    samples = torch.rand(11, 1, 2, 3, generator=seeded(), dtype=torch.float64)
    pixels = torch.rand(4, 1, 2, 3, generator=seeded(1), dtype=torch.float64)
    expected = [
        math.log(sum(Normal(m, 0.2).log_prob(x).sum().exp().item() for m in samples) / 11)
        for x in pixels
    ]
    expected = torch.tensor(expected, dtype=torch.float64)
    for blocks in ([samples], samples.split(4), (part for part in samples.split(1))):
        found = kernel_density(blocks, pixels, 0.2)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_width_is_chosen_by_validation_images_alone():
    generator = seeded()
    samples, validation, pixels = (
        torch.randn(n, 3, generator=generator).double() for n in (400, 100, 50)
    )
    grid = [0.01, 0.1, 0.4, 3.0]
    means = [kernel_density([samples], validation, width).mean() for width in grid]
    value, width = tuned_kernel_density(samples.split(90), pixels, validation, grid)
    assert width == grid[torch.stack(means).argmax()] == 0.4
    torch.testing.assert_close(value, kernel_density([samples], pixels, 0.4))
    # Far away the widest kernel is best, and images to be measured have no say in it.
    _, width = tuned_kernel_density([samples], pixels, validation + 10, grid)
    assert width == 3.0


def test_mistakes_are_told():
    joint = curved()
    x, z = joint.simulate(3, seeded(100))
    q = Independent(Normal(z, 0.1), 1)
    with pytest.raises(UsageError, match="draws must be 1"):
        importance_weighted(joint, q, x, 0, seeded())
    with pytest.raises(UsageError, match="batch must be 1"):
        importance_weighted(joint, q, x, 1, seeded(), 0)
    broken = Joint(joint.prior, gaussian_observation(lambda z: z[:, :, None, None] / 0, 0.1))
    with pytest.raises(UsageError, match="image 0 is not finite"):
        importance_weighted(broken, q, torch.full((3, 2, 1, 1), torch.nan), 2, seeded())
    with pytest.raises(UsageError, match="widths must be above 0"):
        kernel_density([x], x, -1.0)
    with pytest.raises(UsageError, match="needs samples"):
        kernel_density([], x, 1.0)
    with pytest.raises(UsageError, match="one shape"):
        kernel_density([x[:, :, :1]], x, 1.0)
    with pytest.raises(UsageError, match="give both"):
        tuned_kernel_density([x], x, x, [])


def test_density_of_zero_is_no_mistake():
    """An image outside the support has log p = -inf, and no draw counts."""
    joint = Joint(
        Independent(Normal(torch.zeros(1), torch.ones(1)), 1),
        lambda z: Independent(
            torch.distributions.Uniform(z, z + 1, validate_args=False), 1, validate_args=False
        ),
    )
    x = torch.tensor([[0.5], [99.0]])
    value, effective = prior_sampling(joint, x, 200, seeded())
    assert value[0].item() == pytest.approx(math.log(0.5 * math.erf(0.5 / 2**0.5) * 2), abs=0.3)
    assert value[1] == -torch.inf
    assert effective[1] == 0


def test_estimates_are_ordered():
    model = linear()
    x, _ = model.joint.simulate(300, seeded(100))
    q, exact = diagonal(model, x), model.evidence.log_prob(x)
    bounds = [estimate(model, q, x, draws, seed=draws).value for draws in (1, 5, 50)]
    for lower, upper in pairwise([*bounds, exact]):
        assert not_above(lower - upper)
    assert not not_above(exact - bounds[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: StandardNormal(2),
        lambda: GaussianMixture(2, components=3),
        lambda: FlowPrior(2, transforms=1, hidden=8),
        lambda: TwoLevelPrior(2, top_dim=1, hidden=(8,)),
    ],
)
def test_any_prior_can_be_drawn_from(make):
    """A prior of two latents: the mean of p(x | z) over its own draws, written out."""
    torch.manual_seed(0)
    prior = make()
    joint = Joint(prior(), gaussian_observation(lambda z: z[:, None, None, :], 0.5))
    x = torch.randn(3, 1, 1, 2)
    copies = x.repeat(3000, 1, 1, 1)  # many images of few draws each cost less than few of many
    values = prior_sampling(joint, copies, 20, torch.Generator().manual_seed(1), 9000).value
    estimate = values.view(3000, 3).exp().mean(0).log()
    with torch.no_grad():
        z = prior.sample(200_000, torch.Generator().manual_seed(2))
    density = Normal(z[:, None], 0.5).log_prob(x.view(3, 2)).sum(-1).exp().mean(0)
    torch.testing.assert_close(estimate, density.double().log(), atol=0.1, rtol=0)
