"""The kernel distance against its definition, closed forms and two public implementations."""

import math

import numpy as np
import pytest
import torch

from gen_models.evaluation.statistics.kernel import kernel_distance
from gen_models.evaluation.statistics.pairs import Pairs


def drawn(count, dimension=6, seed=0, shift=0.0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, dimension, generator=generator, dtype=torch.float64)
    return noise * scale + shift


def distance(real, fake, **options):
    return kernel_distance(Pairs.of(real=real, fake=fake, neighbours=1, **options))


def mean_kernel(shift, scale, dimension):
    """E k(x, y) of independent x ~ N(0, I) and y ~ N(shift, scale^2 I), k = (x.y/D + 1)^3.

    Given y, x.y is N(0, |y|^2): the third moment of 1 + N(0, s^2) is 1 + 3 s^2.
    """
    return 1 + 3 * (scale**2 + shift**2) / dimension


def mean_kernel_of_pair(shift, scale, dimension):
    """E k(y, y') of two independent draws of N(shift, scale^2 I).

    Given y, y'.y is N(shift . y, scale^2 |y|^2), and a = 1 + shift . y / D is normal too.
    """
    a_mean, a_variance = 1 + shift**2, shift**2 * scale**2 / dimension
    square = dimension * (scale**2 + shift**2)
    # E[a |y|^2] of the Gaussian: means multiply, and the linear term covaries with the square.
    joint = a_mean * square + 2 * shift**2 * scale**2
    return a_mean**3 + 3 * a_mean * a_variance + 3 * scale**2 * joint / dimension**2


def test_definition_in_a_double_loop():
    real = (drawn(23, 5, shift=2.0) * 64).round() / 64
    fake = (drawn(17, 5, seed=1) * 64).round() / 64

    def mean(a, b, same):
        values = [
            (np.dot(p, q) / 5 + 1) ** 3
            for i, p in enumerate(a.numpy())
            for j, q in enumerate(b.numpy())
            if not (same and i == j)
        ]
        return math.fsum(values) / len(values)

    expected = mean(real, real, True) + mean(fake, fake, True) - 2 * mean(real, fake, False)
    assert distance(real, fake).value == pytest.approx(expected, rel=1e-8)
    assert distance(real, fake, block=5).value == pytest.approx(expected, rel=1e-8)


def test_gaussians_have_a_closed_form():
    shift, scale, dimension = 0.5, 1.3, 6
    real = drawn(3000, dimension)
    draws = [
        distance(real[i::10], drawn(300, dimension, 10 + i, shift, scale)).value for i in range(10)
    ]
    expected = (
        mean_kernel_of_pair(0, 1, dimension)
        + mean_kernel_of_pair(shift, scale, dimension)
        - 2 * mean_kernel(shift, scale, dimension)
    )
    values = torch.tensor(draws)
    assert abs(values.mean() - expected) < 3 * values.std() / len(draws) ** 0.5


def test_equal_laws_give_0_in_the_mean_and_less_at_times():
    values = torch.tensor(
        [distance(drawn(60, seed=2 * i), drawn(40, seed=2 * i + 1)).value for i in range(150)]
    )
    assert abs(values.mean()) < 3 * values.std() / 150**0.5
    assert (values < 0).any()


@pytest.mark.filterwarnings("ignore")
def test_torchmetrics_and_torch_fidelity_give_the_same_number():
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torchmetrics.image.kid import poly_mmd

    real, fake = drawn(300, 16, shift=0.7), drawn(300, 16, seed=1)
    mine = distance(real, fake).value
    assert mine == pytest.approx(poly_mmd(real, fake).item(), rel=1e-6)
    theirs = kid_features_to_metric(
        real, fake, kid_subsets=1, kid_subset_size=300, kid_kernel="poly", verbose=False
    )
    assert mine == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)


@pytest.mark.parametrize("offset", [0.0, 10.0])
def test_float32_features_give_the_same_number(offset):
    real, fake = drawn(300, 16, shift=offset), drawn(200, 16, seed=1, shift=offset + 0.3)
    half = distance(real.float(), fake.float()).value
    assert half == pytest.approx(distance(real, fake).value, rel=1e-4)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1.0, 1.0), (0.0, 1.5)])
def test_standard_error_agrees_with_redraws(shift, scale):
    """Where the laws are equal too; the influence function alone is 1.4 times too wide there."""
    real = drawn(600)
    draws = [distance(real, drawn(120, 6, 10 + i, shift, scale)) for i in range(100)]
    values, errors = torch.tensor(draws).T
    assert 0.8 < errors.mean() / values.std() < 1.25


def test_too_few_fakes_have_no_error():
    assert distance(drawn(9), drawn(3)).error is None
    assert distance(drawn(9), drawn(4)).error is not None


def test_a_constant_generator_is_measured():
    value, error = distance(drawn(50), torch.ones(40, 6).double())
    assert value > 0
    assert error == pytest.approx(0, abs=1e-6)
