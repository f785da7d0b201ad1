"""Probabilities of the 256 levels: exact in the middle, in the tails and at the ends."""

import math

import pytest
import torch
from scipy.stats import chisquare

from gen_models.data.ranges import to_bytes, to_pixels
from gen_models.distributions import DiscretisedLogistic, DiscretisedLogisticMixture, pixel_mean
from gen_models.errors import UsageError

LEVELS = torch.arange(256, dtype=torch.float64) / 255
SCALES = [1e-4, 1e-3, 1 / 255, 0.05, 3.0]


def mixture(components=3):
    """A mixture with random slopes and intercepts, float64."""
    likelihood = DiscretisedLogisticMixture(components).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        likelihood.slope.copy_(0.5 * torch.randn(3, components, generator=generator))
        likelihood.intercept.add_(0.3 * torch.randn(3, components, generator=generator))
    return likelihood


def probabilities(likelihood, activations):
    """(N, 256), the probability of each level at each activation."""
    grid = LEVELS.to(activations).repeat(len(activations), 1).reshape(-1, 1, 1, 1)
    repeated = activations.repeat_interleave(256).reshape(-1, 1, 1, 1)
    return likelihood(repeated).log_prob(grid).detach().exp().unflatten(0, (-1, 256))


def likelihoods():
    return [*(DiscretisedLogistic(scale).double() for scale in SCALES), mixture()]


@pytest.mark.parametrize("likelihood", likelihoods())
def test_the_levels_share_all_probability(likelihood):
    a = torch.linspace(-4, 4, 41, dtype=torch.float64)
    assert (probabilities(likelihood, a).sum(1) - 1).abs().max() < 1e-11
    assert (probabilities(likelihood.float(), a.float()).sum(1) - 1).abs().max() < 1e-4
    likelihood.double()


@pytest.mark.parametrize("scale", SCALES)
def test_a_level_has_the_logistic_mass_of_its_bin(scale):
    r"""With d = (x - mu) / s and w the bin's width over s, sinh(w/2) / (cosh d + cosh(w/2))."""
    a = torch.linspace(-2, 2, 9, dtype=torch.float64)
    likelihood = DiscretisedLogistic(scale).double()
    scale = likelihood.log_scale.detach().exp()
    values = probabilities(likelihood, a)
    distance, half = (LEVELS - pixel_mean(a)[:, None]) / scale, 0.5 / 255 / scale
    inner = half.sinh() / (distance.cosh() + half.cosh())
    representable = distance[:, 1:-1].abs() < 700
    torch.testing.assert_close(
        values[:, 1:-1][representable], inner[:, 1:-1][representable], rtol=1e-9, atol=0
    )
    ends = [(0.5 / 255 - pixel_mean(a)) / scale, (pixel_mean(a) - 254.5 / 255) / scale]
    torch.testing.assert_close(
        values[:, [0, 255]], torch.stack(ends, 1).sigmoid(), rtol=1e-9, atol=1e-300
    )


def test_far_levels_cost_their_distance_and_have_gradients_in_single_precision():
    """1000 scales away a difference of two sigmoids is 0, and its logarithm infinite."""
    likelihood = DiscretisedLogistic(1e-3)
    a = torch.full((1, 1, 1, 1), -9.0, requires_grad=True)  # mu = 1.5e-8
    near, far = (likelihood(a).log_prob(torch.full((1, 1, 1, 1), k / 255)) for k in (100, 200))
    assert (near - far).item() == pytest.approx(100 / 255 / 1e-3, rel=1e-4)
    far.sum().backward()
    assert likelihood.log_scale.grad.isfinite()
    assert a.grad.isfinite().all()


@pytest.mark.parametrize("likelihood", likelihoods())
def test_the_mean_is_the_levels_within_half_a_level(likelihood):
    a = torch.linspace(-4, 4, 41, dtype=torch.float64)
    exact = (probabilities(likelihood, a) * LEVELS).sum(1)
    error = (likelihood.mean(a.reshape(-1, 1, 1, 1)).flatten() - exact).abs().max()
    narrow = isinstance(likelihood, DiscretisedLogistic) and likelihood.log_scale.exp() < 1 / 256
    assert error < (0.5 / 255 if narrow else 1e-4)


@pytest.mark.parametrize("likelihood", [DiscretisedLogistic(0.05).double(), mixture()])
@pytest.mark.parametrize("activation", [-1.5, 0.1])
def test_draws_are_levels_with_their_probabilities(likelihood, activation):
    a = torch.tensor([activation], dtype=torch.float64)
    p = probabilities(likelihood, a)[0]
    draws = likelihood(a.reshape(1, 1, 1, 1)).sample((20_000,)).flatten()
    assert torch.equal(to_pixels(to_bytes(draws)), draws.float())
    observed = (draws * 255).round().long().bincount(minlength=256).double()
    often = p * len(draws) > 8
    rare = p[~often].sum() * len(draws)
    assert (observed[~often].sum() - rare).abs() < 5 * rare.sqrt() + 1
    expected = p[often] / p[often].sum() * observed[often].sum()
    assert chisquare(observed[often], expected).pvalue > 1e-3


@pytest.mark.parametrize("likelihood", [DiscretisedLogistic(), mixture().float()])
def test_log_prob_is_one_value_an_image(likelihood):
    a = torch.randn(3, 2, 4, 5)
    pixels = to_pixels(torch.randint(256, (3, 2, 4, 5), dtype=torch.uint8))
    p = likelihood(a)
    assert p.log_prob(pixels).shape == (3,)
    assert p.sample((6,)).shape == (6, 3, 2, 4, 5)
    torch.testing.assert_close(likelihood.mean(a), p.mean)
    one = likelihood(a[:1]).log_prob(pixels[:1])
    torch.testing.assert_close(p.log_prob(pixels)[:1], one)
    assert (p.log_prob(pixels) < 0).all()


def test_a_mixture_of_one_is_the_discretised_logistic():
    a = torch.randn(3, 1, 4, 4)
    pixels = to_pixels(torch.randint(256, (3, 1, 4, 4), dtype=torch.uint8))
    one, plain = DiscretisedLogisticMixture(1, scale=0.07), DiscretisedLogistic(0.07)
    torch.testing.assert_close(one(a).log_prob(pixels), plain(a).log_prob(pixels))
    torch.testing.assert_close(one.mean(a), plain.mean(a))


def test_a_mixture_is_the_sum_of_its_components():
    likelihood, a = mixture(3), torch.tensor([0.2, -1.0]).double()
    middle = pixel_mean(a)[:, None]
    offset, logits, log_scale = (
        s * middle + i for s, i in zip(likelihood.slope, likelihood.intercept, strict=True)
    )
    expected = torch.zeros(2, 256).double()
    for k in range(3):
        edges = torch.cat([LEVELS[:-1] + 0.5 / 255, torch.tensor([torch.inf])])
        below = torch.sigmoid(
            (edges - middle - offset[:, k : k + 1]) / log_scale[:, k : k + 1].exp()
        )
        mass = torch.diff(below, dim=1, prepend=torch.zeros(2, 1))
        expected += logits.softmax(1)[:, k : k + 1] * mass
    torch.testing.assert_close(probabilities(likelihood, a), expected, rtol=1e-8, atol=1e-12)


def test_a_mixture_learns_two_modes_at_one_activation():
    """Pixels are 0 or 1 by a fair coin: log 2 nats each, which one logistic misses by 5 nats."""
    likelihood, a = DiscretisedLogisticMixture(4), torch.zeros(64, 1, 1, 1)
    pixels = (torch.arange(64) % 2).float().reshape(64, 1, 1, 1)
    optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.1)
    for _ in range(200):
        loss = -likelihood(a).log_prob(pixels).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(math.log(2), abs=0.02)


@pytest.mark.parametrize(
    ("likelihood", "name"),
    [
        (DiscretisedLogistic(), "discretised_logistic"),
        (DiscretisedLogisticMixture(), "discretised_logistic_mixture"),
    ],
)
def test_pixels_between_levels_are_refused_in_one_line(likelihood, name):
    likelihood.check(LEVELS.float() + 1e-6)
    for pixels in ([0.5, 0.0, 1.0, 51 / 255], [0.0, 256 / 255, 1.0, 0.0]):
        with pytest.raises(UsageError, match=f"likelihood={name} ") as error:
            likelihood.check(torch.tensor(pixels))
        assert "25 %" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: DiscretisedLogistic(0.0), "scale"),
        (lambda: DiscretisedLogisticMixture(scale=-1.0), "scale"),
        (lambda: DiscretisedLogisticMixture(0), "components"),
    ],
)
def test_numbers_out_of_range_are_refused(make, name):
    with pytest.raises(UsageError, match=f"likelihood.{name}"):
        make()
