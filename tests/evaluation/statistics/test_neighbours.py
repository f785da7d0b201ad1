"""Neighbourhoods against written-out definitions, closed forms and redraws."""

import math

import numpy as np
import pytest
import torch

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.neighbours import (
    coverage,
    density,
    expected_coverage,
    nearest_neighbour_divergence,
    precision,
    recall,
)
from gen_models.evaluation.statistics.pairs import Pairs


def drawn(count, dimension=8, seed=0, shift=0.0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, dimension, generator=generator, dtype=torch.float64)
    return noise * scale + shift


def four(pairs, k=None):
    return [f(pairs, *([k] if k else [])).value for f in (precision, recall, density, coverage)]


def written_out(real, fake, k, inside):
    """Naeem et al.'s own formulas, whole matrices and all; `inside` compares with a radius."""
    distances = {
        name: np.sqrt(((a[:, None] - b) ** 2).sum(-1))
        for name, (a, b) in {
            "rr": (real, real),
            "ff": (fake, fake),
            "rf": (real, fake),
        }.items()
    }
    real_radius = np.sort(distances["rr"], 1)[:, k]
    fake_radius = np.sort(distances["ff"], 1)[:, k]
    return [
        inside(distances["rf"], real_radius[:, None]).any(0).mean(),
        inside(distances["rf"], fake_radius).any(1).mean(),
        inside(distances["rf"], real_radius[:, None]).sum(0).mean() / k,
        inside(distances["rf"].min(1), real_radius).mean(),
    ]


@pytest.mark.parametrize("k", [1, 3, 5])
def test_definitions_written_out(k):
    real, fake = drawn(200, shift=0.4), drawn(150, seed=1, scale=0.9)
    mine = four(Pairs.of(real=real, fake=fake), k)
    # No ties here, so that it does not matter whose comparison it is.
    assert mine == pytest.approx(written_out(real.numpy(), fake.numpy(), k, np.less), abs=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_torch_fidelity_gives_the_same_precision_and_recall():
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    real, fake = drawn(300, 16), drawn(250, 16, seed=1, shift=0.2)
    pairs = Pairs.of(real=real, fake=fake)
    theirs = calculate_precision_recall_full(fake, real, neighborhood=3)
    assert [float(value) for value in theirs] == pytest.approx(four(pairs)[:2], abs=1e-7)


def test_disjoint_sets_share_nothing():
    assert four(Pairs.of(real=drawn(100), fake=drawn(80, seed=1, shift=100.0))) == [0, 0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0, 100])
def test_identical_sets_share_all_and_density_is_exactly_1(dtype, offset):
    real = (drawn(500, 64) + offset).to(dtype)
    assert four(Pairs.of(real=real, fake=real.flip(0))) == [1, 1, 1, 1]


def test_closed_balls_would_have_density_of_one_more_neighbour():
    """(k + 1) / k: the neighbour that sets the radius counts for `<=` and does not for `<`."""
    real = drawn(200)
    closed = written_out(real.numpy(), real.numpy(), 5, np.less_equal)
    assert closed[2] == pytest.approx(1.2)


def test_one_mode_of_two_is_precise_and_recalls_half():
    real = torch.cat([drawn(300), drawn(300, seed=1, shift=50.0)])
    precise, recalled, _, covered = four(Pairs.of(real=real, fake=drawn(300, seed=2)))
    assert precise > 0.85
    assert recalled == pytest.approx(0.5, abs=0.1)
    assert covered == pytest.approx(expected_coverage(300, 300) / 2, abs=0.03)


def test_a_collapsed_generator_is_precise_and_recalls_nothing():
    real = drawn(200)
    pairs = Pairs.of(real=real, fake=real[:1].repeat(100, 1))
    assert precision(pairs).value == 1
    assert recall(pairs).value == 1 / 200  # the real image itself, on the ball's very centre
    moved = Pairs.of(real=real, fake=real[:1].repeat(100, 1) + 1e-3)
    assert four(moved)[:2] == [1, 0]


def test_equal_constant_sets_are_inside_closed_balls_and_outside_open_ones():
    same = torch.full((40, 3), 0.7)
    assert four(Pairs.of(real=same, fake=same[:30])) == [1, 1, 0, 0]


@pytest.mark.parametrize(("reals", "fakes", "dimension"), [(400, 400, 2), (400, 200, 32)])
def test_equal_laws_have_the_expected_coverage_and_density_1(reals, fakes, dimension):
    found = []
    for i in range(40):
        real, fake = drawn(reals, dimension, 2 * i), drawn(fakes, dimension, 2 * i + 1)
        pairs = Pairs.of(real=real, fake=fake)
        found.append([coverage(pairs).value, density(pairs).value])
    values = torch.tensor(found)
    expected = torch.tensor([expected_coverage(reals, fakes), 1.0])
    assert ((values.mean(0) - expected).abs() < 3 * values.std(0) / 40**0.5).all()


def test_expected_coverage_in_the_smallest_cases():
    assert expected_coverage(2, 1, 1) == pytest.approx(1 / 2)
    assert expected_coverage(3, 5, 2) == pytest.approx(1 - (2 / 7) * (1 / 6))
    assert expected_coverage(5, 3, 5) == 1  # only four other real images are there


def redraws(function, real, fakes, count):
    values, errors = torch.tensor([function(real, fakes(i)) for i in range(count)]).T
    return (errors.mean() / values.std()).item()


@pytest.mark.parametrize("shift", [0.0, 0.7])
@pytest.mark.parametrize("function", [precision, density])
def test_errors_of_means_agree_with_redraws(function, shift):
    ratio = redraws(
        lambda x, y: function(Pairs.of(real=x, fake=y)),
        drawn(300, 16),
        lambda i: drawn(150, 16, 10 + i, shift),
        100,
    )
    assert 0.8 < ratio < 1.25


@pytest.mark.parametrize("function", [recall, coverage])
def test_jackknife_agrees_with_redraws_where_much_is_missed(function):
    ratio = redraws(
        lambda x, y: function(Pairs.of(real=x, fake=y)),
        drawn(300, 16),
        lambda i: drawn(180, 16, 10 + i, 0.5),
        100,
    )
    assert 0.8 < ratio < 1.25


@pytest.mark.parametrize("function", [recall, coverage])
def test_jackknife_is_too_wide_and_never_too_narrow_where_all_is_found(function):
    ratio = redraws(
        lambda x, y: function(Pairs.of(real=x, fake=y)),
        drawn(300, 2),
        lambda i: drawn(300, 2, 10 + i),
        60,
    )
    assert 1 < ratio < 3


@pytest.mark.parametrize(("shift", "scale"), [(0.5, 1.0), (0.0, 1.3)])
def test_divergence_of_gaussians(shift, scale):
    truth = (1 + shift**2) / scale**2 - 1 + 2 * math.log(scale)
    values = [
        nearest_neighbour_divergence(
            real=drawn(2000, 2, 2 * i), fake=drawn(1500, 2, 2 * i + 1, shift, scale)
        ).value
        for i in range(3)
    ]
    assert sum(values) / 3 == pytest.approx(truth, abs=0.05)


def test_divergence_of_equal_laws_is_0_and_its_error_agrees_with_redraws():
    real = drawn(300, 4)

    def estimates(shift):
        return torch.tensor(
            [
                nearest_neighbour_divergence(real=real, fake=drawn(300, 4, 10 + i, shift))
                for i in range(100)
            ]
        ).T

    values, _ = estimates(0.0)
    # The real images are one draw, which all redraws share.
    assert abs(values.mean()) < 0.1
    values, errors = estimates(0.7)
    assert 0.8 < errors.mean() / values.std() < 1.25


def test_divergence_written_out():
    real, fake = drawn(60, 3), drawn(50, 3, seed=1, scale=2.0)
    own = torch.cdist(real, real).sort().values[:, 2]
    other = torch.cdist(real, fake).sort().values[:, 1]
    expected = 3 * (other / own).log().mean() + math.log(50 / 59)
    found = nearest_neighbour_divergence(real=real, fake=fake, k=2)
    assert found.value == pytest.approx(expected.item(), abs=1e-6)


def test_repeats_and_copies_cost_no_logarithm_of_0():
    real, fake = drawn(200, 3), drawn(200, 3, seed=1)
    plain = nearest_neighbour_divergence(real=real, fake=fake)
    repeated = nearest_neighbour_divergence(real=real, fake=torch.cat([fake, fake]))
    assert repeated.value == pytest.approx(plain.value + math.log(2))
    copied = nearest_neighbour_divergence(real=real, fake=real)
    assert math.isfinite(copied.value)
    with pytest.raises(UsageError, match="1 distinct fakes give no divergence by 5"):
        nearest_neighbour_divergence(real=real, fake=fake[:1].repeat(50, 1))


def test_neighbours_that_were_not_kept_are_asked_for():
    pairs = Pairs.of(real=drawn(20), fake=drawn(20, seed=1), neighbours=2)
    with pytest.raises(UsageError, match="k = 3 is not among the 2"):
        precision(pairs)
