"""The integral over z on a grid, against closed forms."""

import math

import pytest
import torch
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood import Joint, quadrature
from tests.evaluation.likelihood.models import curved, linear, seeded


@pytest.mark.parametrize("latent_dim", [1, 2])
@pytest.mark.parametrize("batch", [1000, 4096])
def test_linear_model(latent_dim, batch):
    model = linear(latent_dim=latent_dim)
    x, _ = model.joint.simulate(5, seeded(100))
    value = quadrature(model.joint, x, tolerance=1e-9, batch=batch)
    torch.testing.assert_close(value, model.evidence.log_prob(x), rtol=0, atol=1e-8)


def test_any_prior_gets_a_box_that_holds_it():
    """A mixture of two far normals, one narrow: p(x) is a mixture in closed form."""
    model = linear(latent_dim=1)
    means, deviations = torch.tensor([[-6.0], [9.0]]), torch.tensor([[0.2], [1.5]])
    weights = torch.tensor([0.3, 0.7])
    prior = MixtureSameFamily(
        Categorical(weights.double()),
        Independent(Normal(means.double(), deviations.double()), 1),
    )
    joint = Joint(prior, model.observe)
    x, _ = joint.simulate(6, seeded(100))
    noise = model.deviation**2 * torch.eye(20).double()
    parts = [
        MultivariateNormal(
            model.weight @ mean.double() + model.bias,
            model.weight @ model.weight.T * deviation.double() ** 2 + noise,
        ).log_prob(x)
        + weight.double().log()
        for mean, deviation, weight in zip(means, deviations, weights, strict=True)
    ]
    expected = torch.stack(parts).logsumexp(0)
    value = quadrature(joint, x, tolerance=1e-9, intervals=2**14)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-8)


def test_float32_decoder():
    joint = curved()
    x, _ = joint.simulate(4, seeded(100))
    coarse, fine = (quadrature(joint, x, tolerance=t) for t in (1e-2, 1e-5))
    assert fine.dtype == torch.float64
    assert (coarse - fine).abs().max() < 1e-2


def test_a_narrow_posterior_is_not_missed():
    """Its deviation is a hundredth of the first spacing: the grid refines, or says that it ends."""
    model = linear(latent_dim=1, scale=30.0)
    x, _ = model.joint.simulate(3, seeded(100))
    value = quadrature(model.joint, x, tolerance=1e-9, intervals=2**15)
    torch.testing.assert_close(value, model.evidence.log_prob(x), rtol=0, atol=1e-8)
    with pytest.raises(UsageError, match="64 intervals an axis still changes"):
        quadrature(model.joint, x, intervals=64)


def test_a_posterior_outside_the_box_is_told():
    model = linear(latent_dim=1, pixels=3, variance=4.0)
    x, _ = model.joint.simulate(3, seeded(100))
    x[1] = model.bias + 30 * model.weight[:, 0]
    with pytest.raises(UsageError, match="image 1 reaches the end of the box"):
        quadrature(model.joint, x, box=[(-5, 4)], tolerance=1e-2)
    value = quadrature(model.joint, x, box=[(-20, 40)], tolerance=1e-9)
    torch.testing.assert_close(value, model.evidence.log_prob(x), rtol=0, atol=1e-8)


def test_more_latents_are_refused():
    model = linear(latent_dim=3)
    with pytest.raises(UsageError, match="1 or 2 latents, not 3"):
        quadrature(model.joint, torch.zeros(1, 20))


def test_no_decoder_at_all():
    """With an image that z does not move, log p(x) is the observation's density."""
    model = linear(latent_dim=2, scale=0.0)
    x, _ = model.joint.simulate(3, seeded(100))
    expected = Normal(model.bias, model.deviation).log_prob(x).sum(1)
    value = quadrature(model.joint, x)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-9)
    assert math.isfinite(value.sum())
