"""The joint density against torch's, term by term, and its gradient against autograd's."""

import pytest
import torch
from torch.distributions import Independent, Normal

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood import Joint, gaussian_observation
from tests.evaluation.likelihood.models import curved, linear, seeded


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


def test_gaussian_observation_is_the_gaussian_density():
    joint = curved(deviation=0.3)
    z, pixels = drawn(4, 2), torch.rand(4, 1, 3, 4, generator=seeded())
    mean = joint.observe(z).mean
    expected = Normal(mean, 0.3).log_prob(pixels).sum((1, 2, 3))
    torch.testing.assert_close(joint.observe(z).log_prob(pixels), expected)
    assert joint.log_likelihood(z[None], pixels).dtype == torch.float64
    with pytest.raises(UsageError, match="above 0"):
        gaussian_observation(lambda z: z, 0.0)


@pytest.mark.parametrize("batch", [None, 1, 2, 7, 100])
def test_every_draw_meets_its_own_image(batch):
    model = linear()
    x, _ = model.joint.simulate(3, seeded(100))
    z = drawn(5, 3, 5).double()
    expected = [[model.observe(z[k, b]).log_prob(x[b]) for b in range(3)] for k in range(5)]
    value = model.joint.log_likelihood(z, x, batch)
    torch.testing.assert_close(value, torch.tensor(expected), rtol=1e-12, atol=1e-10)
    value, slope = model.joint.likelihood_slope(z, x, batch)
    torch.testing.assert_close(value, torch.tensor(expected), rtol=1e-12, atol=1e-10)
    residual = (x - z @ model.weight.T - model.bias) / model.deviation**2
    torch.testing.assert_close(slope, residual @ model.weight, rtol=1e-12, atol=1e-10)


def test_every_latent_with_every_image():
    model = linear()
    x, _ = model.joint.simulate(3, seeded(100))
    z = drawn(5, 5).double()
    expected = model.joint.log_joint(z[:, None].expand(-1, 3, -1), x)
    found = model.joint.log_joint_of_all(z, x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-10)


def test_draws_hang_on_their_generator_alone():
    joint = curved()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    x, z = joint.simulate(6, seeded(1))
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(1)
    again, _ = joint.simulate(6, seeded(1))
    assert torch.equal(x, again)
    # Noise and latents are not of the same random numbers.
    noise = (x - joint.observe(z).mean).flatten(1)
    assert not torch.allclose(noise[:, :2] / 0.15, z)


def test_images_of_another_shape_are_refused():
    """Three channels would be compared with one, were the sizes left to broadcasting."""
    with pytest.raises(UsageError, match=r"\(1, 3, 4\).*\(3, 3, 4\)"):
        curved().log_likelihood(drawn(1, 2, 2), torch.zeros(2, 3, 3, 4))


def test_parameters_get_no_gradient():
    weight = torch.ones(2, requires_grad=True)
    unit = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    joint = Joint(unit, lambda z: Independent(Normal(z * weight, 1.0), 1))
    joint.likelihood_slope(drawn(3, 4, 2), drawn(4, 2))
    assert weight.grad is None
