"""Densities integrate to one and agree with the formulas and with draws; supports are guarded."""

import math

import pytest
import torch
from scipy.stats import kstest

from gen_models.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    Gaussian,
    GaussianPerPixel,
    Laplace,
    pixel_mean,
)
from gen_models.errors import UsageError


def per_pixel(shape=(2, 4, 5)):
    likelihood = GaussianPerPixel(0.2)
    likelihood.bind(shape)
    return likelihood


LIKELIHOODS = [
    Gaussian(0.2),
    Gaussian(0.2, learned=True),
    Gaussian(0.2, link="identity"),
    per_pixel(),
    Laplace(0.2),
    Bernoulli(),
    ContinuousBernoulli(),
]


def test_one_activation_serves_tanh_and_sigmoid():
    a = torch.linspace(-4, 4, 101)
    torch.testing.assert_close(pixel_mean(a), (torch.tanh(a) + 1) / 2)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda x: type(x).__name__)
def test_log_prob_is_one_value_an_image_and_mean_is_the_distributions(likelihood):
    a = torch.randn(3, 2, 4, 5)
    pixels = torch.rand(3, 2, 4, 5).round()
    p = likelihood(a)
    assert p.log_prob(pixels).shape == (3,)
    assert p.sample().shape == (3, 2, 4, 5)
    assert p.sample((6,)).shape == (6, 3, 2, 4, 5)
    torch.testing.assert_close(likelihood.mean(a), p.mean)
    one = likelihood(a[:1]).log_prob(pixels[:1])
    torch.testing.assert_close(p.log_prob(pixels)[:1], one)
    assert likelihood(a.bfloat16()).log_prob(pixels).dtype == torch.float32


@pytest.mark.parametrize("activation", [-30.0, -3.0, -0.16, 0.0, 1e-4, 0.7, 40.0])
@pytest.mark.parametrize(
    "likelihood",
    [Gaussian(0.1), Gaussian(0.4, link="identity"), Laplace(0.2), ContinuousBernoulli()],
    ids=["gaussian", "identity", "laplace", "continuous_bernoulli"],
)
def test_draws_have_the_density(likelihood, activation):
    """Kolmogorov and Smirnov against the integral of the density."""
    bounded = isinstance(likelihood, ContinuousBernoulli)
    low, high = (0, 1) if bounded else (min(activation, 0) - 5, max(activation, 0) + 5)
    p = likelihood(torch.tensor(activation).double().reshape(1, 1, 1, 1))
    x = torch.linspace(low, high, 200_001).double()
    density = p.log_prob(x.reshape(-1, 1, 1, 1)).detach().exp()
    cumulative = torch.cumulative_trapezoid(density, x)
    assert cumulative[-1].item() == pytest.approx(1, abs=1e-4)
    draws = p.sample((5000,)).flatten()
    index = torch.searchsorted(x, draws).clamp(1, len(x) - 1) - 1
    assert kstest(cumulative[index], "uniform").pvalue > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_quantiles_stay_within_the_pixels_at_any_activation(dtype):
    activation = torch.tensor([-400.0, -20, -9, -1, 1, 9, 20, 400], dtype=dtype).view(1, 1, 1, 8)
    pixels = ContinuousBernoulli()(activation).base_dist
    ends = [pixels.icdf(torch.full_like(activation, end)) for end in (0.0, 1.0)]
    for end, known in zip(ends, (0.0, 1.0), strict=True):
        assert ((end >= 0) & (end <= 1)).all()
        moderate = end[..., 3:5]
        torch.testing.assert_close(moderate, torch.full_like(moderate, known), atol=1e-6, rtol=0)


def test_binary_draws_have_the_probability():
    a = torch.tensor([-0.4, 0.9]).reshape(1, 1, 1, 2)
    draws = Bernoulli()(a).sample((20_000,))
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(draws.mean(0), pixel_mean(a), atol=0.015, rtol=0)


@pytest.mark.parametrize(
    "activation", [-60.0, -12.0, -3.0, -0.16, -0.14, 0.0, 1e-4, 0.7, 3.0, 40.0]
)
def test_continuous_bernoulli_integrates_to_one_and_has_its_moments(activation):
    """At -60 and 40 torch's own distribution has lost a factor: its normaliser is clamped."""
    grid = (torch.arange(1_000_000) + 0.5) / 1_000_000
    a = torch.tensor(activation).reshape(1, 1, 1, 1)
    likelihood = ContinuousBernoulli()
    p = likelihood(a)
    logarithm = p.log_prob(grid.reshape(-1, 1, 1, 1)).double()
    density = logarithm.exp()
    assert density.mean().item() == pytest.approx(1, abs=1e-5)
    assert (density * grid).mean().item() == pytest.approx(likelihood.mean(a).item(), abs=1e-5)
    spread = (density * (grid - p.mean.item()).square()).mean().sqrt()
    assert p.stddev.item() == pytest.approx(spread.item(), rel=1e-4)
    assert p.entropy().item() == pytest.approx(-(density * logarithm).mean().item(), abs=1e-4)
    for end in (0.001, 0.05, 0.999):
        below = p.base_dist.cdf(torch.tensor(end)).item()
        assert below == pytest.approx(density[grid < end].sum().item() / 1e6, abs=1e-4)


def test_continuous_bernoulli_is_torchs_where_torch_is_right_and_smooth_everywhere():
    a = torch.linspace(-7, 7, 4001).reshape(-1, 1, 1, 1)
    x = torch.rand_like(a)
    reference = torch.distributions.ContinuousBernoulli(logits=2 * a.double())
    mine = ContinuousBernoulli()(a)
    torch.testing.assert_close(
        mine.log_prob(x), reference.log_prob(x.double()).flatten().float(), atol=2e-5, rtol=1e-4
    )
    torch.testing.assert_close(
        ContinuousBernoulli().mean(a), reference.mean.float(), atol=2e-5, rtol=1e-4
    )
    b = torch.linspace(-1000, 1000, 4001).reshape(-1, 1, 1, 1).requires_grad_()
    moved = ContinuousBernoulli()(b)
    value = moved.log_prob(torch.full_like(b, 0.3)) + moved.variance.flatten() + moved.entropy()
    [slope] = torch.autograd.grad(value.sum(), b)
    assert slope.isfinite().all()
    means = ContinuousBernoulli().mean(b).flatten()
    assert (means.diff() > 0).all()


def test_gaussian_density_by_hand():
    a, pixels, sigma = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.75), 0.1
    expected = -0.5 * 4 * (math.log(2 * math.pi * sigma**2) + 0.25**2 / sigma**2)
    assert Gaussian(sigma)(a).log_prob(pixels).item() == pytest.approx(expected, rel=1e-5)


def test_with_the_identity_the_activation_is_the_mean():
    a, pixels, sigma = torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 2, 2), 2.5), 0.4
    expected = -0.5 * 4 * (math.log(2 * math.pi * sigma**2) + 0.5**2 / sigma**2)
    likelihood = Gaussian(sigma, link="identity")
    assert likelihood(a).log_prob(pixels).item() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(likelihood.mean(a), a)


def test_laplace_density_by_hand():
    a, pixels, scale = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.75), 0.1
    expected = -4 * (math.log(2 * scale) + 0.25 / scale)
    assert Laplace(scale)(a).log_prob(pixels).item() == pytest.approx(expected, rel=1e-5)


def test_learned_deviation_is_optimal_at_the_root_of_the_mean_squared_error():
    torch.manual_seed(0)
    likelihood = Gaussian(0.5, learned=True)
    a, pixels = torch.randn(50, 1, 4, 4), torch.rand(50, 1, 4, 4)
    likelihood.log_deviation.data = (pixels - pixel_mean(a)).square().mean().sqrt().log()
    likelihood(a).log_prob(pixels).mean().backward()
    assert likelihood.log_deviation.grad.item() == pytest.approx(0, abs=1e-4)
    assert not Gaussian(0.5).log_deviation.requires_grad


def test_learned_scale_is_optimal_at_the_mean_absolute_error():
    likelihood = Laplace(0.5, learned=True)
    a, pixels = torch.randn(50, 1, 4, 4), torch.rand(50, 1, 4, 4)
    likelihood.log_scale.data = (pixels - pixel_mean(a)).abs().mean().log()
    likelihood(a).log_prob(pixels).mean().backward()
    assert likelihood.log_scale.grad.item() == pytest.approx(0, abs=1e-4)
    assert not Laplace(0.5).log_scale.requires_grad


def test_each_pixels_deviation_is_optimal_at_its_own_error():
    likelihood = per_pixel((1, 4, 4))
    torch.testing.assert_close(likelihood.deviation, torch.full((1, 4, 4), 0.2))
    a, pixels = torch.randn(50, 1, 4, 4), torch.rand(50, 1, 4, 4)
    error = (pixels - pixel_mean(a)).square().mean(0).sqrt()
    likelihood.log_excess.data = (error - likelihood.minimum).log()
    p = likelihood(a)
    torch.testing.assert_close(p.base_dist.scale, error.expand(50, 1, 4, 4))
    p.log_prob(pixels).mean().backward()
    assert likelihood.log_excess.grad.abs().max() < 1e-4
    likelihood.log_excess.data.fill_(-300)
    assert likelihood.deviation.min().item() == pytest.approx(0.01)


def test_a_deviation_per_pixel_has_to_know_the_pixels():
    with pytest.raises(UsageError, match=r"likelihood\.bind\(shape\)"):
        GaussianPerPixel()(torch.zeros(1, 1, 2, 2))


def test_bernoulli_on_bits_by_hand():
    a = torch.tensor([0.3, -1.0]).reshape(1, 1, 1, 2)
    p = pixel_mean(a).flatten()
    bits = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2)
    assert Bernoulli()(a).log_prob(bits).item() == pytest.approx(
        (p[0].log() + (1 - p[1]).log()).item()
    )


def test_bernoulli_refuses_grey_in_one_line():
    Bernoulli().check(torch.tensor([0.0, 1.0, 1.0]))
    with pytest.raises(UsageError, match=r"data\.binarize=dynamic") as error:
        Bernoulli().check(torch.tensor([0.0, 0.5, 1.0]))
    assert "33 %" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError):
        Bernoulli().check(torch.tensor([0.0, 2.0]))


def test_continuous_bernoulli_refuses_what_is_no_pixel_in_one_line():
    ContinuousBernoulli().check(torch.tensor([0.0, 0.5, 1.0 + 1e-6]))
    with pytest.raises(UsageError, match="gaussian") as error:
        ContinuousBernoulli().check(torch.tensor([-0.5, 0.5, 1.0, 0.0]))
    assert "25 %" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Gaussian(0.0), r"likelihood\.deviation"),
        (lambda: Gaussian(link="tanh"), r"likelihood\.link must be sigmoid or identity"),
        (lambda: Laplace(-1.0), r"likelihood\.scale"),
        (lambda: GaussianPerPixel(0.1, minimum=0.2), r"minimum=0\.2"),
        (lambda: GaussianPerPixel(0.1, minimum=0.0), r"minimum=0\.0"),
    ],
)
def test_numbers_out_of_range_are_refused(make, name):
    with pytest.raises(UsageError, match=name) as error:
        make()
    assert "\n" not in str(error.value)
