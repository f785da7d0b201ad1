"""Two levels of latents: exact on a linear-Gaussian hierarchy, and one vector to all others."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from gen_models.distributions import BottomUp, Ladder, StandardNormal, TwoLevelPrior
from gen_models.distributions.hierarchy import ConditionalGaussian, TwoLevels, product
from gen_models.errors import UsageError
from gen_models.models import GAN, VAE
from gen_models.networks import ConvGenerator, MLPTrunk
from gen_models.objectives import ImportanceWeighted, draw
from gen_models.objectives.importance import log_mean_exp

NOISE = 0.4
SPREAD = torch.tensor([0.5, 0.8]).double()
DOWN = torch.tensor([[0.9], [-1.2]]).double()  # z1 = DOWN z2 + SPREAD eps
SHIFT = torch.tensor([0.3, -0.1]).double()
# Orthogonal columns, so that what x says of z1 is a diagonal Gaussian.
WEIGHT = torch.tensor([[1.0, 0.7], [1.0, -0.7], [0.5, 1.4], [2.0, -0.35]]).double()
X = torch.tensor([[0.7, -1.1, 0.2, 1.3], [0.1, 0.4, -0.9, 2.0]]).double()


class Affine(nn.Module):
    """N(A u + b, diag s^2): a conditional that can be inverted by hand."""

    def __init__(self, weight, shift, deviation):
        super().__init__()
        self.weight, self.shift, self.deviation = weight, shift, deviation
        self.latent_dim = len(shift)

    def forward(self, values):
        mean = values @ self.weight.T + self.shift
        return Independent(Normal(mean, self.deviation.expand_as(mean)), 1)


def normal(mean, deviation):
    return Independent(Normal(mean, deviation), 1)


def prior():
    top = normal(torch.zeros(1).double(), torch.ones(1).double())
    return TwoLevels(top, Affine(DOWN, SHIFT, SPREAD), downward=True)


def marginals():
    """Of z1: mean, covariance; and log p(x) of each row of X."""
    covariance = DOWN @ DOWN.T + SPREAD.square().diag()
    of_x = WEIGHT @ covariance @ WEIGHT.T + NOISE**2 * torch.eye(4).double()
    return SHIFT, covariance, MultivariateNormal(WEIGHT @ SHIFT, of_x).log_prob(X)


def ladder():
    """Exact: evidence is p(x | z1) as a density of z1; q(z2 | x) is p(z2 | x)."""
    squares = WEIGHT.square().sum(0)
    evidence = normal(X @ WEIGHT / squares, (NOISE / squares.sqrt()).expand(2, 2))
    inner = SPREAD.square().diag() + (NOISE**2 / squares).diag()
    gain = torch.linalg.solve(inner + DOWN @ DOWN.T, DOWN)
    mean = (X @ WEIGHT / squares - SHIFT) @ gain
    deviation = (1 - DOWN.T @ gain).sqrt().expand(2, 1)
    return TwoLevels(normal(mean, deviation), Affine(DOWN, SHIFT, SPREAD), True, evidence)


def bottom_up():
    """Exact: q(z1 | x) with its full covariance, q(z2 | z1) without a need for x."""
    mean, covariance, _ = marginals()
    precision = covariance.inverse() + WEIGHT.T @ WEIGHT / NOISE**2
    pull = X @ WEIGHT / NOISE**2 + covariance.inverse() @ mean
    root = MultivariateNormal(torch.linalg.solve(precision, pull.T).T, precision_matrix=precision)
    precision = 1 + DOWN.T @ (DOWN / SPREAD.square()[:, None])
    up = (DOWN / SPREAD.square()[:, None]).T / precision
    return TwoLevels(root, Affine(up, -up @ SHIFT, precision.rsqrt()[0]), downward=False)


def likelihood(z):
    return Independent(Normal((z[:, :2] @ WEIGHT.T)[..., None, None], NOISE), 3)


def drawn(posterior, count):
    return draw(X[..., None, None], posterior, prior(), likelihood, count)


@pytest.mark.parametrize("posterior", [ladder, bottom_up])
def test_with_the_exact_posterior_every_draw_weighs_p_of_x(posterior):
    weights = drawn(posterior(), 7).log_weights
    torch.testing.assert_close(weights, marginals()[2].expand(7, 2), rtol=0, atol=1e-10)


def wrong(deviation=1.3):
    """A ladder whose top level is too wide."""
    exact = ladder()
    top = normal(exact.first.mean + 0.2, exact.first.stddev * deviation)
    return TwoLevels(top, exact.network, True, exact.evidence)


def test_more_draws_tighten_the_bound_up_to_p_of_x():
    torch.manual_seed(0)
    exact, previous = marginals()[2].mean(), -float("inf")
    for count in (1, 5, 50):
        weights = drawn(wrong(), 400 * count).log_weights.unflatten(0, (400, count))
        bound = log_mean_exp(weights, dim=1).mean(1)
        assert previous < bound.mean() < exact + 3 * bound.std() / 20
        previous = bound.mean()
    assert exact - previous < 0.01


def test_the_levels_rates_are_the_closed_ones_and_sum_to_the_rate():
    """For the ladder of exact factors the mean rate is E_q log q(z | x) / p(z), known from ELBO."""
    torch.manual_seed(0)
    some = drawn(wrong(), 20_000)
    bottom, top = some.posterior.divergences(some.prior, some.z)
    expected = torch.distributions.kl_divergence(some.posterior.first, some.prior.first)
    torch.testing.assert_close(top, expected)
    assert (bottom > 0).all()
    torch.testing.assert_close(some.rate, bottom + top)
    each = some.log_posterior - some.log_prior
    assert ((some.rate - each.mean(0)).abs() < 4 * each.std(0) / 20_000**0.5).all()


def test_going_up_the_rate_is_that_of_the_draws_with_a_closed_top():
    torch.manual_seed(0)
    exact = bottom_up()
    root = normal(exact.first.mean, exact.first.variance.sqrt())
    some = drawn(TwoLevels(root, exact.network, downward=False), 20_000)
    each = some.log_posterior - some.log_prior
    assert ((some.rate - each.mean(0)).abs() < 4 * each.std(0) / 20_000**0.5).all()
    bottom, top = some.posterior.divergences(some.prior, some.z)
    assert (top > 0).all()
    z1, z2 = some.z[..., :2], some.z[..., 2:]
    below = root.log_prob(z1) - Affine(DOWN, SHIFT, SPREAD)(z2).log_prob(z1)
    torch.testing.assert_close(bottom, below.mean(0))


def test_the_rate_of_the_ladder_has_no_noise_where_both_factors_are_the_priors():
    flat = normal(torch.zeros(2, 2).double(), torch.full((2, 2), 1e8).double())
    top = normal(torch.zeros(2, 1).double(), torch.ones(2, 1).double())
    some = drawn(TwoLevels(top, Affine(DOWN, SHIFT, SPREAD), True, flat), 1)
    torch.testing.assert_close(some.rate, torch.zeros(2).double(), rtol=0, atol=1e-12)


def test_the_product_is_the_normalised_product_of_the_densities():
    one = normal(torch.tensor([[-0.5]]).double(), torch.tensor([[0.4]]).double())
    other = normal(torch.tensor([[1.0]]).double(), torch.tensor([[0.9]]).double())
    grid = torch.linspace(-8, 8, 20_001).double()[:, None, None]
    density = (one.log_prob(grid) + other.log_prob(grid)).exp()
    density /= torch.trapezoid(density[:, 0], grid[:, 0, 0])
    torch.testing.assert_close(product(one, other).log_prob(grid).exp(), density)


@pytest.mark.parametrize("make", [prior, ladder, bottom_up])
def test_it_is_a_distribution_like_others(make):
    torch.manual_seed(0)
    distribution = make()
    batch = distribution.batch_shape
    assert distribution.event_shape == (3,)
    assert distribution.mean.shape == (*batch, 3)
    for shape in ((), (5,), (4, 5)):
        z = distribution.rsample(shape)
        assert z.shape == (*shape, *batch, 3)
        first, second = distribution.conditionals(z)
        parts = first.log_prob(z[..., :2]) + second.log_prob(z[..., 2:])
        torch.testing.assert_close(distribution.log_prob(z), parts)
    assert not distribution.sample().requires_grad


@pytest.mark.parametrize("make", [prior, ladder, bottom_up])
def test_the_mean_and_the_density_are_those_of_the_joint_gaussian(make):
    """Affine conditionals make z Gaussian: its mean is the means' ancestry, its density known."""
    torch.manual_seed(0)
    distribution = make()
    z = distribution.sample((200_000,))
    error = z.std(0) / 200_000**0.5
    assert ((z.mean(0) - distribution.mean).abs() < 4 * error).all()
    if make is prior:
        mean, covariance, _ = marginals()
        joint = torch.block_diag(covariance, torch.ones(1, 1).double())
        joint[:2, 2:], joint[2:, :2] = DOWN, DOWN.T
        known = MultivariateNormal(torch.cat([mean, torch.zeros(1).double()]), joint)
        torch.testing.assert_close(distribution.log_prob(z[:99]), known.log_prob(z[:99]))


def test_the_prior_is_sampled_from_its_seed_and_leaves_the_global_state_alone():
    made = TwoLevelPrior(latent_dim=5, top_dim=2, hidden=(8,))
    before = torch.get_rng_state()
    one, two = (made.sample(6, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.shape == (6, 5)
    assert torch.equal(one, two)
    assert torch.equal(before, torch.get_rng_state())
    assert made.decoded == 3


def test_a_conditional_without_hidden_layers_is_affine():
    made = ConditionalGaussian(2, 3, ())
    u = torch.randn(7, 2)
    torch.testing.assert_close(made(u).mean + made(-u).mean, 2 * made(0 * u).mean)
    assert made(u.expand(4, 7, 2)).batch_shape == (4, 7)


def test_the_ladder_meets_its_prior_before_it_is_used_and_no_other():
    head = Ladder(latent_dim=5, top_dim=2)
    others = StandardNormal(5), TwoLevelPrior(5, 3), TwoLevelPrior(6, 2)
    for other in others:
        with pytest.raises(UsageError, match="TwoLevelPrior with top_dim=2"):
            head.bind(other)


@pytest.mark.parametrize("top_dim", [0, 5, 6])
@pytest.mark.parametrize("make", [TwoLevelPrior, BottomUp, Ladder])
def test_each_level_has_a_variable(make, top_dim):
    with pytest.raises(UsageError, match="top_dim"):
        make(latent_dim=5, top_dim=top_dim)


def parts(posterior):
    return {
        "shape": (1, 8, 8),
        "latent_dim": 5,
        "generator": partial(ConvGenerator, width=4),
        "trunk": partial(MLPTrunk, hidden=(16,)),
        "optimizer": partial(torch.optim.Adam, lr=1e-2),
        "prior": partial(TwoLevelPrior, top_dim=2, hidden=(8,)),
        "posterior": partial(posterior, top_dim=2),
    }


@pytest.mark.parametrize("posterior", [BottomUp, Ladder])
def test_the_generator_sees_the_bottom_level_alone(posterior):
    model = VAE(**parts(posterior)).eval()
    z = model.sample_prior(4, torch.Generator().manual_seed(0))
    assert z.shape == (4, 5)
    other = torch.cat([z[:, :3], z[:, 3:] + 1], dim=1)
    assert torch.equal(model.decode(z), model.decode(other))
    assert not torch.equal(model.decode(z), model.decode(z + 1))
    assert model.infer(torch.rand(2, 1, 8, 8)).mean.shape == (2, 5)


def held(latent_dim):
    return TwoLevelPrior(latent_dim, 2).requires_grad_(False)


def test_a_gan_takes_two_levels_of_noise_too_where_they_are_held():
    options = {k: v for k, v in parts(Ladder).items() if k != "posterior"}
    with pytest.raises(UsageError, match="TwoLevelPrior has parameters"):
        GAN(**options)
    model = GAN(**{**options, "prior": held})
    assert model.discriminator_loss(torch.rand(4, 1, 8, 8))["loss"].isfinite()


def test_levels_that_do_not_fit_the_priors_are_refused_and_one_level_is_none():
    head = BottomUp(latent_dim=5, top_dim=2)
    for prior in (TwoLevelPrior(5, 2), StandardNormal(5)):
        head.bind(prior)
    for prior in (TwoLevelPrior(5, 3), TwoLevelPrior(6, 2)):
        with pytest.raises(
            UsageError, match=r"posterior.top_dim=2 and model.prior.top_dim"
        ) as told:
            head.bind(prior)
        assert "\n" not in str(told.value)
    options = {**parts(BottomUp), "posterior": partial(BottomUp, top_dim=4)}
    with pytest.raises(UsageError, match="top_dim=4"):
        VAE(**options)


def test_the_ladders_way_down_is_the_priors_own_in_copies_and_under_one_name():
    model = copy.deepcopy(VAE(**parts(Ladder)))
    assert model.encoder[1]._down[0] is model.prior.bottom
    assert sum("prior.bottom" in name for name in model.state_dict()) == 4
    assert not any("_down" in name or "encoder.1" in name for name in model.state_dict())
    pixels = torch.rand(3, 1, 8, 8)
    before = model.infer(pixels).mean
    nn.init.constant_(model.prior.bottom.layers[-1].bias, 2.0)
    assert (model.infer(pixels).mean - before)[:, :3].abs().min() > 0


def test_a_doubly_reparameterised_gradient_is_refused_and_the_plain_one_is_given():
    x = torch.rand(3, 1, 8, 8)
    with pytest.raises(UsageError, match="doubly_reparameterised=false"):
        VAE(**parts(Ladder), objective=ImportanceWeighted(4)).loss(x)
    plain = ImportanceWeighted(4, doubly_reparameterised=False)
    model = VAE(**parts(Ladder), objective=plain)
    model.loss(x)["loss"].backward()
    assert all(p.grad is not None for p in model.prior.parameters())
