"""Closed forms against torch's own densities, and against each other."""

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood import LinearGaussian, importance_weighted
from tests.evaluation.likelihood.models import linear, precision, seeded, within


def test_evidence_is_the_gaussian_with_the_full_covariance():
    model = linear()
    x, _ = model.joint.simulate(50, seeded(100))
    covariance = model.weight @ model.weight.T + model.deviation**2 * torch.eye(20).double()
    expected = MultivariateNormal(model.bias, covariance).log_prob(x)
    torch.testing.assert_close(model.evidence.log_prob(x), expected, rtol=0, atol=1e-10)


def test_bayes_rule_holds_everywhere():
    """p(z) p(x | z) = p(x) p(z | x) at latents that have nothing to do with x."""
    model = linear()
    x, _ = model.joint.simulate(50, seeded(100))
    z = torch.randn(3, 50, 5, generator=seeded(1), dtype=torch.float64)
    expected = model.evidence.log_prob(x) + model.posterior(x).log_prob(z)
    torch.testing.assert_close(model.joint.log_joint(z, x), expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("full", [False, True])
def test_log_p_is_the_bound_and_the_divergence(full):
    model = linear()
    x, _ = model.joint.simulate(50, seeded(100))
    mean = torch.randn(50, 5, generator=seeded(1), dtype=torch.float64)
    factor = torch.rand(50, 5, 5, generator=seeded(2), dtype=torch.float64).tril() + 0.1
    factor = factor.tril() if full else torch.diag_embed(factor.diagonal(dim1=1, dim2=2))
    bound, gap = model.elbo(x, mean, factor), model.divergence(x, mean, factor)
    torch.testing.assert_close(bound + gap, model.evidence.log_prob(x), rtol=1e-12, atol=1e-10)
    q = MultivariateNormal(mean, scale_tril=factor)
    torch.testing.assert_close(gap, kl_divergence(q, model.posterior(x)), rtol=1e-12, atol=1e-10)


def test_log_p_is_the_bound_and_the_divergence_of_a_flow():
    """Neither term has a closed form, but the sum of the two integrands is log p at every draw."""
    zuko = pytest.importorskip("zuko")
    model = linear()
    one, _ = model.joint.simulate(1, seeded(100))
    x = one.expand(3000, -1)
    torch.manual_seed(0)
    flow = zuko.flows.MAF(5, 20, transforms=2, hidden_features=(16,)).double()
    with torch.no_grad():
        q = flow(x)
        z = q.sample()
        log_weights = model.joint.log_joint(z[None], x)[0] - q.log_prob(z)
        gaps = q.log_prob(z) - model.posterior(x).log_prob(z)
    exact = model.evidence.log_prob(x)
    torch.testing.assert_close(log_weights + gaps, exact, rtol=1e-10, atol=1e-8)
    bound = importance_weighted(model.joint, q, x, 1, seeded()).value
    assert gaps.mean() > 1
    assert within(bound + gaps.roll(1) - exact)


def test_gap_of_the_best_diagonal_posterior():
    """Half the log of the ratio of the two determinants, the same for every image."""
    model = linear()
    x, _ = model.joint.simulate(20, seeded(100))
    exact = precision(model)
    factor = torch.diag_embed(exact.diagonal().rsqrt()).expand(20, -1, -1)
    gap = model.divergence(x, model.posterior(x).mean, factor)
    expected = 0.5 * (exact.diagonal().log().sum() - torch.logdet(exact))
    torch.testing.assert_close(gap, expected.expand(20), rtol=0, atol=1e-10)
    assert gap[0].item() == pytest.approx(0.3208, abs=1e-4)


def test_mistakes_are_told():
    with pytest.raises(UsageError, match="above 0"):
        LinearGaussian(torch.ones(3, 2), torch.zeros(3), 0.0)
    with pytest.raises(UsageError, match="do not fit"):
        LinearGaussian(torch.ones(3, 2), torch.zeros(2), 1.0)
