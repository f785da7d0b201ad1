"""Likelihoods at extreme activations and parameters: finite, or refused in words; never NaN."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gen_models.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    DiscretisedLogistic,
    DiscretisedLogisticMixture,
    Gaussian,
    GaussianPerPixel,
    Laplace,
)
from gen_models.errors import UsageError

SHAPE = (1, 2, 3)
OF_PARAMETER = {
    "gaussian": Gaussian,
    "gaussian, learned": lambda value: Gaussian(value, learned=True),
    "gaussian, no link": lambda value: Gaussian(value, link="identity"),
    "gaussian per pixel": GaussianPerPixel,
    "laplace": Laplace,
    "laplace, learned": lambda value: Laplace(value, learned=True),
    "discretised logistic": DiscretisedLogistic,
    "its mixture": lambda value: DiscretisedLogisticMixture(3, value),
}
WITHOUT = {"bernoulli": Bernoulli, "continuous bernoulli": ContinuousBernoulli}
EVERY = {**{name: lambda make=make: make(0.1) for name, make in OF_PARAMETER.items()}, **WITHOUT}

activations = st.one_of(
    st.floats(-1e4, 1e4, width=32),
    st.sampled_from([0.0, -0.0, 1e-30, 0.5, -0.5, 20.0, -90.0, 1e4, -1e4]),
)
levels = st.integers(0, 255).map(lambda level: level / 255)


def of_levels(name):
    return "discretised" in name or "mixture" in name


@pytest.mark.parametrize("name", EVERY)
@given(activations, levels)
def test_log_prob_and_its_slope_are_finite_at_any_activation(name, activation, pixel):
    likelihood = EVERY[name]()
    likelihood.bind(SHAPE)
    if name == "bernoulli":
        pixel = round(pixel)
    a = torch.full((2, *SHAPE), activation, requires_grad=True)
    log_prob = likelihood(a).log_prob(torch.full((2, *SHAPE), float(pixel)))
    assert log_prob.shape == (2,)
    assert log_prob.isfinite().all()
    if of_levels(name) or name == "bernoulli":
        assert (log_prob <= 1e-4).all()  # probabilities
    log_prob.sum().backward()
    assert a.grad.isfinite().all()
    mean = likelihood.mean(a)
    assert mean.isfinite().all()
    if "no link" not in name:
        assert ((mean >= 0) & (mean <= 1)).all()


extreme = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(
        [0.0, -1.0, 5e-324, 1e-45, 1e-30, 1e-8, 1.0, 1e8, 1e30, 1e38, math.nan, math.inf]
    ),
)


def made(name, value):
    try:
        return OF_PARAMETER[name](value), ""
    except UsageError as error:
        return None, str(error)


@pytest.mark.parametrize("name", OF_PARAMETER)
@given(extreme, activations, levels)
def test_a_parameter_is_refused_in_words_or_gives_finite_numbers(name, value, activation, pixel):
    likelihood, told = made(name, value)
    if likelihood is None:
        assert not (math.isfinite(value) and 0.01 <= value <= 1), told
        return
    likelihood.bind(SHAPE)
    log_prob = likelihood(torch.full((1, *SHAPE), activation)).log_prob(
        torch.full((1, *SHAPE), pixel)
    )
    assert log_prob.isfinite().all(), f"{name}({value})"


@pytest.mark.parametrize("name", ["discretised logistic", "its mixture"])
@given(activations, st.floats(1e-3, 1e3))
def test_probabilities_of_all_levels_add_up_to_one_at_any_activation(name, activation, scale):
    likelihood = OF_PARAMETER[name](scale)
    likelihood.bind((1, 1, 1))
    every = torch.arange(256.0).view(256, 1, 1, 1) / 255
    p = likelihood(torch.full((1, 1, 1, 1), activation))
    assert p.log_prob(every).double().exp().sum().item() == pytest.approx(1, abs=1e-3)
