"""Each prior's density, its draws and its gradients are of one distribution."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from gen_models.data.ranges import Scaler
from gen_models.distributions import (
    DiagonalGaussian,
    FlowPosterior,
    FlowPrior,
    FullCovariance,
    GaussianMixture,
    StandardNormal,
    VampPrior,
)
from gen_models.errors import UsageError

from .grids import agreement, integral, perturbed

SHAPE = (1, 2, 3)


class Model(nn.Module):
    """An encoder and a VampPrior that is bound to it, as in a VAE."""

    def __init__(self, latent_dim=2, components=4, head=DiagonalGaussian):
        super().__init__()
        made = head(latent_dim)
        self.prior = VampPrior(latent_dim, components)
        trunk = nn.Sequential(nn.Flatten(), nn.Linear(6, made.features))
        self.encoder = nn.Sequential(trunk, made)
        self.scaler = Scaler.symmetric(1)
        self.prior.bind(self.encoder, SHAPE, self.scaler)


def vamp(latent_dim, head=DiagonalGaussian):
    return perturbed(Model(latent_dim, head=head)).prior


PRIORS = {
    "standard normal": lambda d: StandardNormal(d).double(),
    "mixture": lambda d: perturbed(GaussianMixture(d, 3)),
    "vamp": vamp,
    "vamp of full covariances": lambda d: vamp(d, FullCovariance),
    "vamp of flows": lambda d: vamp(d, lambda n: FlowPosterior(n, hidden=8, context=2)),
    "flow": lambda d: perturbed(FlowPrior(d, transforms=2, hidden=8), size=0.2),
}
each = pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)


@each
@pytest.mark.parametrize("dimension", [1, 2])
def test_the_density_integrates_to_one(make, dimension):
    """In the plane, the kinks of splines leave the grid an error of 0.002."""
    assert integral(make(dimension)()) == pytest.approx(1, abs={1: 1e-5, 2: 5e-3}[dimension])


@each
def test_draws_have_the_density(make):
    prior = make(2)
    draws = prior.sample(20_000, torch.Generator().manual_seed(1))
    assert agreement(prior(), draws) > 1e-3
    shuffled = torch.randperm(len(draws))
    for half in (draws[:10_000], draws[shuffled[:10_000]]):  # not ordered by component
        assert agreement(prior(), half) > 1e-3


@each
def test_a_generator_decides_the_draws_and_the_global_state_is_left_alone(make):
    prior, state = make(2), torch.get_rng_state()
    one, same = (prior.sample(50, torch.Generator().manual_seed(3)) for _ in range(2))
    other = prior.sample(50, torch.Generator().manual_seed(4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not one.requires_grad
    assert one.shape == (50, 2)
    assert torch.equal(state, torch.get_rng_state())
    generator = torch.Generator().manual_seed(3)
    first, second = prior.sample(50, generator), prior.sample(50, generator)
    assert torch.equal(first, one)
    assert not torch.equal(first, second)
    assert not torch.equal(prior.sample(50), prior.sample(50))


@pytest.mark.parametrize("make", list(PRIORS.values())[1:], ids=list(PRIORS)[1:])
def test_gradients_reach_every_parameter(make):
    prior = make(2)
    prior().log_prob(torch.randn(30, 5, 2).double()).sum().backward()
    for parameter in prior.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


@each
def test_far_latents_have_finite_densities_and_gradients(make):
    prior = make(2).float()
    for module in getattr(prior, "_bound", ()):
        module.float()
    z = torch.tensor([[1e3, -1e3], [0.0, 300.0]], requires_grad=True)
    value = prior().log_prob(z)
    value.sum().backward()
    assert value.shape == (2,)
    assert value.isfinite().all()
    assert z.grad.isfinite().all()


def test_standard_normal_draws_are_seeded_and_standard():
    prior = StandardNormal(3)
    draws = prior.sample(50_000, torch.Generator().manual_seed(0))
    expected = torch.randn(50_000, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(draws, expected)  # bit for bit what it has always been
    assert draws.mean(0).abs().max() < 0.02
    assert (draws.var(0) - 1).abs().max() < 0.03


def test_a_mixture_of_one_is_a_gaussian():
    prior = GaussianMixture(3, components=1)
    z = torch.randn(20, 3)
    deviation = torch.full((3,), 0.5).sqrt()
    expected = Independent(Normal(prior.mean[0], deviation), 1).log_prob(z)
    torch.testing.assert_close(prior().log_prob(z), expected)


def test_a_mixture_begins_near_the_standard_normal():
    draws = GaussianMixture(4, components=400).sample(50_000, torch.Generator().manual_seed(0))
    assert draws.mean(0).abs().max() < 0.15
    assert (draws.var(0) - 1).abs().max() < 0.15


def test_a_mixture_of_posteriors_is_their_mean_at_the_scaled_pseudo_inputs():
    """Components are q(z | u_k), equally likely, with u_k pixels that are scaled like images."""
    model = perturbed(Model(components=3))
    seen = []
    model.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    z = torch.randn(7, 2).double()
    value = model.prior().log_prob(z)
    pixels = model.prior.raw_pixels.sigmoid()
    torch.testing.assert_close(seen[0], 2 * pixels - 1)
    densities = [model.encoder(x[None]).log_prob(z).exp() for x in 2 * pixels - 1]
    torch.testing.assert_close(value, torch.stack(densities).mean(0).log())
    assert 0 <= model.prior.pseudo_inputs.min() <= model.prior.pseudo_inputs.max() <= 1


def test_a_vamp_prior_of_one_is_the_posterior():
    model = Model(components=1)
    posterior = model.encoder(model.scaler(model.prior.pseudo_inputs))
    z = torch.randn(7, 2)
    torch.testing.assert_close(model.prior().log_prob(z), posterior.log_prob(z))


def test_the_encoder_of_a_vamp_prior_stays_the_models():
    model = Model()
    names = [name for name in model.state_dict() if name.startswith("prior")]
    assert names == ["prior.raw_pixels"]
    assert len(list(model.parameters())) == 3
    model.prior().log_prob(torch.zeros(2)).backward()
    assert model.encoder[0][1].weight.grad.abs().sum() > 0


def test_a_copy_of_a_vamp_prior_has_the_copied_encoder():
    model = Model()
    twin, z = copy.deepcopy(model), torch.zeros(2)
    before = model.prior().log_prob(z)
    torch.testing.assert_close(twin.prior().log_prob(z), before)
    with torch.no_grad():
        twin.encoder[0][1].bias.add_(1)
    assert not torch.allclose(twin.prior().log_prob(z), before)
    torch.testing.assert_close(model.prior().log_prob(z), before)


def test_a_vamp_prior_is_restored_from_its_state():
    model, other = Model(), Model()
    other.load_state_dict(model.state_dict())
    z = torch.randn(5, 2)
    torch.testing.assert_close(other.prior().log_prob(z), model.prior().log_prob(z))


def test_a_vamp_prior_without_an_encoder_says_so():
    for use in (VampPrior(2), lambda: VampPrior(2).sample(3)):
        with pytest.raises(UsageError, match=r"model/prior=standard_normal") as error:
            use()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_a_vamp_prior_refuses_an_encoder_whose_statistics_its_pseudo_inputs_would_move(norm):
    encoder = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(6, 4), norm(4)), nn.Identity())
    with pytest.raises(UsageError, match=r"set model.trunk.norm=group or null") as error:
        VampPrior(2).bind(encoder, SHAPE)
    assert "\n" not in str(error.value)


def test_a_flow_prior_begins_as_the_standard_normal_and_keeps_its_tails():
    z = torch.tensor([[0.3, -1.2, 2.0], [6.0, -7.0, 5.5]])
    standard = StandardNormal(3)().log_prob(z)
    torch.testing.assert_close(FlowPrior(3)().log_prob(z), standard)
    moved = perturbed(FlowPrior(3))().log_prob(z.double()).float()
    torch.testing.assert_close(moved[1], standard[1])
    assert (moved[0] - standard[0]).abs() > 1e-3


def test_the_density_of_a_flow_prior_takes_one_pass():
    prior, passes = FlowPrior(5, transforms=2, hidden=8), []
    for step in prior.flow.steps:
        step.hyper.register_forward_hook(lambda *_: passes.append(1))
    prior().log_prob(torch.randn(3, 5))
    assert len(passes) == 2


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: GaussianMixture(2, 0), "prior.components"),
        (lambda: VampPrior(2, 0), "prior.components"),
        (lambda: FlowPrior(2, transforms=0), "prior.transforms"),
        (lambda: FlowPrior(2, hidden=0), "prior.hidden"),
    ],
)
def test_numbers_out_of_range_are_refused(make, name):
    with pytest.raises(UsageError, match=name):
        make()
