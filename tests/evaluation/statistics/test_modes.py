"""Modes of known mixtures: samplers whose coverage, quality and width are known."""

import math

import pytest
import torch
from scipy.stats import chi2
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, Uniform

from gen_models.data import Grid, LinearGaussianData, Ring
from gen_models.errors import UsageError
from gen_models.evaluation.statistics.modes import (
    Found,
    Mixture,
    deviation_ratio,
    high_quality,
    mode_divergence,
    modes_covered,
)

GRID = Mixture.of(Grid().density)


def drawn(modes, width=1.0, count=2500, mixture=GRID):
    """Samples of some modes, equally likely, `width` true deviations wide."""
    chosen = modes[torch.randint(len(modes), (count,))]
    noise = torch.randn(count, mixture.centres.shape[1], dtype=torch.float64)
    return mixture.centres[chosen] + width * mixture.deviations[chosen] * noise


def found(*arguments, **options):
    mixture = options.get("mixture", GRID)
    return Found.of(drawn(*arguments, **options), mixture)


def test_a_perfect_sampler_on_the_grid_by_the_published_protocol():
    seen = found(torch.arange(25))
    assert modes_covered(seen).value == 25
    assert high_quality(seen).value == pytest.approx(1 - math.exp(-4.5), abs=3 * 0.0021)
    assert mode_divergence(seen).value == pytest.approx(24 / (2 * 2500 * 0.989), abs=0.0045)
    ratio = deviation_ratio(seen)
    assert ratio.value == pytest.approx(1, abs=3 * ratio.error)
    assert ratio.error == pytest.approx(1 / math.sqrt(4 * 2500), rel=0.2)


def test_expectations_over_many_perfect_samples():
    """Means of 200 draws: 0.9889 of high quality, a divergence of (K - 1) / 2N, a ratio of 1."""
    seen = [found(torch.arange(25)) for _ in range(200)]
    means = [
        sum(statistic(each).value for each in seen) / len(seen)
        for statistic in (high_quality, mode_divergence, deviation_ratio)
    ]
    assert means[0] == pytest.approx(0.98889, abs=0.0005)
    assert means[1] == pytest.approx(0.00485, abs=0.0003)
    assert means[2] == pytest.approx(1, abs=0.003)


@pytest.mark.parametrize("kept", [1, 5, 24])
def test_dropped_modes_cost_the_logarithm_of_their_share(kept):
    seen = found(torch.arange(kept), count=20_000)
    assert modes_covered(seen).value == kept
    divergence = mode_divergence(seen)
    assert divergence.value == pytest.approx(math.log(25 / kept), abs=0.002)
    assert divergence.error < 0.02


@pytest.mark.parametrize("width", [0.5, 0.8, 1.5, 2.0])
def test_the_width_of_a_mode_is_found_through_the_cut(width):
    seen = found(torch.arange(25), width, count=20_000)
    ratio = deviation_ratio(seen)
    assert ratio.value == pytest.approx(width, abs=4 * ratio.error)
    inside = chi2.cdf(9 / width**2, 2)
    assert high_quality(seen).value == pytest.approx(inside, abs=0.01)


def test_the_error_of_the_width_is_that_of_redrawn_samples():
    ratios = [deviation_ratio(found(torch.arange(25), 1.3, count=500)) for _ in range(200)]
    spread = torch.tensor([ratio.value for ratio in ratios]).std().item()
    mean_error = sum(ratio.error for ratio in ratios) / len(ratios)
    assert mean_error == pytest.approx(spread, rel=0.15)


def test_only_samples_of_high_quality_are_counted_by_hand():
    line = Mixture(
        torch.tensor([[0.0], [10.0]]).double(),
        torch.tensor([[1.0], [2.0]]).double(),
        torch.tensor([0.5, 0.5]).double(),
    )
    # In deviations: 0.5, 2.9, 3.1 of the first mode, 2.5 of the second (5 of ten, over 2).
    seen = Found.of(torch.tensor([[0.5], [2.9], [3.1], [15.0]]), line)
    assert seen.mode.tolist() == [0, 0, 0, 1]
    assert seen.good.tolist() == [True, True, False, True]
    assert high_quality(seen).value == 0.75
    assert modes_covered(seen).value == 2
    by_hand = 2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)
    assert mode_divergence(seen).value == pytest.approx(by_hand, abs=1e-12)
    # Nearest is by deviations: 4.5 is nearer to 0 in pixels, and 2.75 deviations from ten.
    assert Found.of(torch.tensor([[4.5]]), line).mode.tolist() == [1]


def test_unequal_weights_are_what_the_histogram_is_held_against():
    weights = torch.tensor([0.7, 0.2, 0.1]).double()
    mixture = Mixture(torch.eye(3).double() * 50, torch.ones(3, 3).double(), weights)
    modes = torch.multinomial(weights, 20_000, replacement=True)
    samples = mixture.centres[modes] + torch.randn(20_000, 3).double()
    seen = Found.of(samples, mixture)
    assert mode_divergence(seen).value < 0.001
    assert high_quality(seen).value == pytest.approx(chi2.cdf(9, 3), abs=0.005)
    assert deviation_ratio(seen).value == pytest.approx(1, abs=0.02)


def test_noise_has_no_width_and_nothing_good_no_histogram():
    with pytest.raises(UsageError, match="no width"):
        deviation_ratio(Found.of(torch.rand(200_000, 2), GRID))
    far = Found.of(torch.full((10, 2), 5.0), GRID)
    with pytest.raises(UsageError, match="none of 10 samples"):
        mode_divergence(far)
    with pytest.raises(UsageError, match="0 of 10 samples"):
        deviation_ratio(far)
    assert (modes_covered(far).value, high_quality(far).value) == (0, 0)


def test_a_sampler_of_points_has_no_width():
    assert deviation_ratio(Found.of(GRID.centres, GRID)).value == 0


def test_which_densities_are_mixtures():
    mixture = Mixture.of(Ring().density)
    assert mixture.centres.shape == mixture.deviations.shape == (8, 2)
    assert mixture.quality == pytest.approx(1 - math.exp(-4.5))
    torch.testing.assert_close(mixture.centres, Ring().centres)
    assert Mixture.of(None) is None
    assert Mixture.of(LinearGaussianData().density) is None
    even = Categorical(torch.ones(2))
    other = MixtureSameFamily(even, Independent(Uniform(torch.zeros(2, 3), torch.ones(2, 3)), 1))
    assert Mixture.of(other) is None
    assert Mixture.of(MixtureSameFamily(even, Normal(torch.zeros(2), torch.ones(2)))) is None
