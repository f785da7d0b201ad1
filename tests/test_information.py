"""Known answers of information theory; every identity that the package rests on."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal, Normal

from gen_models.information import (
    cross_entropy,
    divergence,
    entropy,
    gaussian_cross_entropy,
    gaussian_divergence,
    gaussian_divergence_full,
    gaussian_entropy,
    information,
)

shares = st.lists(st.floats(1e-3, 1.0), min_size=2, max_size=8)


def distribution(weights):
    weights = torch.tensor(weights, dtype=torch.float64)
    return weights / weights.sum()


def test_a_fair_coin_has_log_2_nats():
    assert information(torch.tensor(0.5)).item() == pytest.approx(math.log(2))
    assert entropy(torch.tensor([0.5, 0.5])).item() == pytest.approx(math.log(2))
    assert entropy(torch.tensor([1.0, 0.0])).item() == 0


@given(shares)
def test_entropy_lies_between_0_and_log_k(weights):
    p = distribution(weights)
    assert -1e-12 <= entropy(p).item() <= math.log(len(weights)) + 1e-12


@given(shares, st.randoms(use_true_random=False))
def test_divergence_is_never_negative_and_0_only_at_equality(weights, random):
    p = distribution(weights)
    q = distribution(random.sample(weights, len(weights)))
    value = divergence(p, q).item()
    assert divergence(p, p).item() == pytest.approx(0, abs=1e-12)
    assert value >= -1e-12
    if (p - q).abs().sum() > 1e-3:
        # Pinsker's inequality: KL >= (total variation)^2 * 2.
        assert value >= 0.5 * (p - q).abs().sum().item() ** 2 - 1e-12


@given(shares, st.randoms(use_true_random=False))
def test_cross_entropy_is_entropy_plus_divergence(weights, random):
    p = distribution(weights)
    q = distribution(random.sample(weights, len(weights)))
    assert cross_entropy(p, q).item() == pytest.approx((entropy(p) + divergence(p, q)).item())


def test_divergence_by_hand():
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.25, 0.5])
    assert divergence(p, q).item() == pytest.approx(math.log(2))
    assert divergence(q, p).item() == math.inf


vectors = st.lists(st.floats(-3, 3), min_size=3, max_size=3)
positive = st.lists(st.floats(0.1, 3), min_size=3, max_size=3)


@given(vectors, positive, vectors, positive)
def test_gaussian_divergence_is_cross_entropy_minus_entropy(m, s, m_p, s_p):
    q, p = torch.tensor([m, s]).double(), torch.tensor([m_p, s_p]).double()
    value = gaussian_divergence(*q, *p)
    assert value.item() >= -1e-12
    expected = gaussian_cross_entropy(*q, *p) - gaussian_entropy(q[1])
    assert value.item() == pytest.approx(expected.item(), abs=1e-9)


@given(vectors, positive)
def test_divergence_to_the_standard_normal_is_equation_10(m, s):
    m, s = torch.tensor(m).double(), torch.tensor(s).double()
    by_hand = 0.5 * (m**2 + s**2 - 1 - torch.log(s**2)).sum()
    assert gaussian_divergence(m, s).item() == pytest.approx(by_hand.item(), abs=1e-9)


@given(vectors, positive, vectors, positive)
@settings(max_examples=30)
def test_full_covariance_agrees_with_diagonal(m, s, m_p, s_p):
    m, s, m_p, s_p = (torch.tensor(v).double() for v in (m, s, m_p, s_p))
    full = gaussian_divergence_full(m, s.diag(), m_p, s_p.diag())
    assert full.item() == pytest.approx(gaussian_divergence(m, s, m_p, s_p).item(), abs=1e-9)


def test_full_covariance_by_the_textbook_formula():
    torch.manual_seed(0)
    a, b = torch.randn(2, 4, 4, dtype=torch.float64).tril(-1) + 2 * torch.eye(4).double()
    m, m_p = torch.randn(2, 4, dtype=torch.float64)
    s, s_p = a @ a.T, b @ b.T
    shift = m_p - m
    by_hand = 0.5 * (
        torch.trace(torch.linalg.solve(s_p, s))
        + shift @ torch.linalg.solve(s_p, shift)
        - 4
        + torch.logdet(s_p)
        - torch.logdet(s)
    )
    assert gaussian_divergence_full(m, a, m_p, b).item() == pytest.approx(by_hand.item())
    torch.testing.assert_close(
        gaussian_divergence_full(m, a), gaussian_divergence_full(m, a, 0 * m, torch.eye(4).double())
    )


def test_three_integrals_of_the_elbo_against_monte_carlo():
    """E_q log q, E_q log p(z), and E_q log p(x|z) of a linear decoder, within 4 standard errors."""
    torch.manual_seed(0)
    mean, deviation = torch.tensor([0.5, -1.0]).double(), torch.tensor([0.7, 1.3]).double()
    zero, one = torch.zeros(2).double(), torch.ones(2).double()
    x, weight, noise = torch.tensor([1.0, 2.0, 0.0]).double(), torch.randn(3, 2).double(), 0.5
    z = Normal(mean, deviation).sample((200_000,))

    def agrees(samples, exact):
        error = samples.std() / len(samples) ** 0.5
        assert abs(samples.mean() - exact) < 4 * error

    agrees(Normal(mean, deviation).log_prob(z).sum(1), -gaussian_entropy(deviation))
    agrees(
        Normal(zero, one).log_prob(z).sum(1), -gaussian_cross_entropy(mean, deviation, zero, one)
    )
    # W z is Gaussian: its share of the likelihood is a cross-entropy, coordinate by coordinate.
    spread = (weight**2 @ deviation**2).sqrt()
    likelihood = Normal(z @ weight.T, noise).log_prob(x).sum(1)
    agrees(likelihood, -gaussian_cross_entropy(weight @ mean, spread, x, noise * torch.ones(3)))


def test_log_evidence_is_elbo_plus_divergence_to_the_true_posterior():
    """Linear-Gaussian model: the identity holds to rounding, for any Gaussian q, image by image."""
    torch.manual_seed(1)
    weight, noise = torch.randn(5, 2).double(), 0.6
    x = torch.randn(7, 5).double()
    evidence = MultivariateNormal(
        torch.zeros(5).double(), weight @ weight.T + noise**2 * torch.eye(5).double()
    ).log_prob(x)
    precision = torch.eye(2).double() + weight.T @ weight / noise**2
    posterior_mean = torch.linalg.solve(precision, (x @ weight / noise**2).T).T
    posterior_factor = torch.linalg.cholesky(torch.linalg.inv(precision))
    for mean, deviation in [(x[:, :2], [0.3, 2.0]), (posterior_mean, [0.5, 0.5])]:
        s = torch.tensor(deviation).double().expand(7, 2)
        spread = s**2 @ (weight**2).T
        reconstruction = Normal(mean @ weight.T, noise).log_prob(x).sum(1) - spread.sum(1) / (
            2 * noise**2
        )
        elbo = reconstruction - gaussian_divergence(mean, s)
        gap = gaussian_divergence_full(
            mean, torch.diag_embed(s), posterior_mean, posterior_factor.expand(7, 2, 2)
        )
        torch.testing.assert_close(elbo + gap, evidence, rtol=1e-10, atol=1e-10)
        assert (gap > 0).all()
