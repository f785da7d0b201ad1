r"""Information, entropy and divergence, in nats: the theory that the rest of the package rests on.

The two identities that everything here serves, for any $q(z)$ with the support of $p(z \mid x)$:

$$\log p(x) = \mathrm{ELBO}(q) + \mathrm{KL}(q(z) \,\|\, p(z \mid x))$$
$$\mathrm{ELBO}(q) = \mathbb{E}_q[\log p(x \mid z)] - \mathrm{KL}(q(z) \,\|\, p(z))$$

Since KL >= 0, the ELBO never exceeds log p(x), and equals it only where q is the true posterior
(Kingma & Welling, 2014, equations 1 to 3). Every function is thin over torch, works on the last
dimension and keeps the leading ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence


def information(probability: Tensor) -> Tensor:
    r"""Information content $-\log p$ of an event (Shannon, 1948), elementwise.

    Args:
        probability: (...), in [0, 1].

    Returns:
        (...), nats; infinite where the probability is 0.

    Example:
        >>> round(information(torch.tensor(0.5)).item(), 4)
        0.6931
    """
    return -probability.log()


def entropy(p: Tensor) -> Tensor:
    r"""Entropy $H(p) = -\sum_k p_k \log p_k$ of discrete distributions.

    Args:
        p: (..., K), non-negative, summing to 1 over the last dimension.

    Returns:
        (...), nats, between 0 and log K; terms with p = 0 count 0.
    """
    return torch.special.entr(p).sum(-1)


def cross_entropy(p: Tensor, q: Tensor) -> Tensor:
    r"""Cross-entropy $H(p, q) = -\sum_k p_k \log q_k = H(p) + \mathrm{KL}(p \,\|\, q)$.

    Args:
        p: (..., K), the distribution that the events come from.
        q: (..., K), the distribution that codes them.

    Returns:
        (...), nats; infinite where q = 0 and p > 0.
    """
    return -torch.special.xlogy(p, q).sum(-1)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    r"""Kullback-Leibler divergence $\mathrm{KL}(p \,\|\, q) = \sum_k p_k \log (p_k / q_k)$.

    Args:
        p: (..., K), non-negative, summing to 1.
        q: (..., K), the same.

    Returns:
        (...), nats, >= 0, and 0 only where p = q; infinite where q = 0 and p > 0.

    Example:
        >>> p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])
        >>> round(divergence(p, q).item(), 4)
        0.1438
    """
    return cross_entropy(p, q) - entropy(p)


def gaussian_entropy(deviation: Tensor) -> Tensor:
    r"""Entropy of N(mu, diag(sigma^2)): $\tfrac12 \sum_j (1 + \log 2\pi\sigma_j^2)$.

    This is $-\int q(z) \log q(z)\,dz$ of the ELBO's derivation (Kingma & Welling, 2014, appendix
    B).

    Args:
        deviation: (..., D), sigma > 0.

    Returns:
        (...), nats; negative for narrow densities.
    """
    return Independent(Normal(torch.zeros_like(deviation), deviation), 1).entropy()


def gaussian_cross_entropy(
    mean: Tensor, deviation: Tensor, mean_p: Tensor, deviation_p: Tensor
) -> Tensor:
    r"""$-\int q(z) \log p(z)\,dz$ for diagonal Gaussians q = N(mean, deviation^2) and p.

    $\tfrac12 \sum_j [\log 2\pi\sigma_p^2 + (\sigma^2 + (\mu - \mu_p)^2) / \sigma_p^2]$; with the
    standard normal as p it is the prior's term of the ELBO (Kingma & Welling, 2014, appendix B).
    With p the likelihood of a linear decoder it is the reconstruction term.

    Args:
        mean: (..., D), mean of q.
        deviation: (..., D), deviation of q, > 0.
        mean_p: (..., D), mean of p.
        deviation_p: (..., D), deviation of p, > 0.

    Returns:
        (...), nats.
    """
    expected_square = deviation.square() + (mean - mean_p).square()
    terms = math.log(2 * math.pi) + 2 * deviation_p.log() + expected_square / deviation_p.square()
    return 0.5 * terms.sum(-1)


def gaussian_divergence(
    mean: Tensor,
    deviation: Tensor,
    mean_p: Tensor | None = None,
    deviation_p: Tensor | None = None,
) -> Tensor:
    r"""KL between diagonal Gaussians; against N(0, I) where p is left out.

    $\tfrac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2)$ (Kingma & Welling, 2014, equation
    10).

    Args:
        mean: (..., D), mean of q.
        deviation: (..., D), deviation of q, > 0.
        mean_p: (..., D), mean of p; zeros by default.
        deviation_p: (..., D), deviation of p, > 0; ones by default.

    Returns:
        (...), nats, >= 0.

    Example:
        >>> gaussian_divergence(torch.ones(3), torch.ones(3)).item()
        1.5
    """
    p = Normal(
        torch.zeros_like(mean) if mean_p is None else mean_p,
        torch.ones_like(deviation) if deviation_p is None else deviation_p,
    )
    return kl_divergence(Normal(mean, deviation), p).sum(-1)


def gaussian_divergence_full(
    mean: Tensor, factor: Tensor, mean_p: Tensor | None = None, factor_p: Tensor | None = None
) -> Tensor:
    r"""KL between Gaussians with covariance $L L^T$; against N(0, I) where p is left out.

    $\tfrac12 [\mathrm{tr}(\Sigma_p^{-1}\Sigma) + (\mu_p-\mu)^T \Sigma_p^{-1} (\mu_p-\mu) - D
    + \log(\det\Sigma_p / \det\Sigma)]$.

    Args:
        mean: (..., D), mean of q.
        factor: (..., D, D), lower triangular L of q with a positive diagonal.
        mean_p: (..., D), mean of p; zeros by default.
        factor_p: (..., D, D), L of p; the identity by default.

    Returns:
        (...), nats, >= 0.
    """
    p = MultivariateNormal(
        torch.zeros_like(mean) if mean_p is None else mean_p,
        scale_tril=torch.eye(mean.shape[-1]).to(factor) if factor_p is None else factor_p,
    )
    return kl_divergence(MultivariateNormal(mean, scale_tril=factor), p)
