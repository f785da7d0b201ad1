r"""The model whose every quantity is known: $z \sim N(0, I)$, $x = Wz + b + \sigma\epsilon$.

Probabilistic principal component analysis (Tipping & Bishop, 1999): log p(x), p(z | x), and the
evidence lower bound of any Gaussian q have closed forms, against which estimators are proven.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
)

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood.joint import Joint
from gen_models.evaluation.likelihood.numerics import double
from gen_models.information import gaussian_divergence_full


@dataclass(frozen=True)
class LinearGaussian:
    r"""$p(x) = N(b, W W^T + \sigma^2 I)$ and what follows from it, in float64.

    Attributes:
        weight: W, (P, D).
        bias: b, (P,), in units of pixels.
        deviation: sigma, in units of pixels, > 0.

    Raises:
        UsageError: If the shapes do not fit or sigma is not above 0.
    """

    weight: Tensor
    bias: Tensor
    deviation: float

    def __post_init__(self) -> None:
        if not self.deviation > 0:
            raise UsageError(f"the deviation of the noise must be above 0, not {self.deviation}")
        if self.weight.dim() != 2 or self.bias.shape != self.weight.shape[:1]:
            raise UsageError(
                f"weight {tuple(self.weight.shape)} and bias {tuple(self.bias.shape)} do not fit; "
                "give (P, D) and (P,)"
            )
        object.__setattr__(self, "weight", double(self.weight))
        object.__setattr__(self, "bias", double(self.bias))

    @property
    def prior(self) -> Distribution:
        """p(z) = N(0, I), event shape (D,)."""
        zeros = self.weight.new_zeros(self.weight.shape[1])
        normal = Normal(zeros, zeros + 1, validate_args=False)
        return Independent(normal, 1, validate_args=False)

    def observe(self, z: Tensor) -> Distribution:
        """p(x | z) of z (N, D): batch shape (N,), event shape (P,)."""
        normal = Normal(z @ self.weight.T + self.bias, self.deviation, validate_args=False)
        return Independent(normal, 1, validate_args=False)

    @property
    def joint(self) -> Joint:
        """p(x, z), for the estimators."""
        return Joint(self.prior, self.observe)

    @property
    def evidence(self) -> Distribution:
        """p(x), event shape (P,); `log_prob` of x (B, P) gives (B,), nats."""
        noise = torch.full_like(self.bias, self.deviation**2)
        return LowRankMultivariateNormal(self.bias, self.weight, noise, validate_args=False)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        r"""$p(z \mid x) = N(\Lambda^{-1} W^T (x - b) / \sigma^2, \Lambda^{-1})$.

        With the precision $\Lambda = I + W^T W / \sigma^2$ (Tipping & Bishop, 1999, equation 7),
        which is the same for all x.

        Args:
            x: (B, P).

        Returns:
            Batch shape (B,), event shape (D,).
        """
        scaled = self.weight / self.deviation**2
        precision = torch.eye(self.weight.shape[1]).to(scaled) + scaled.T @ self.weight
        covariance = torch.cholesky_inverse(torch.linalg.cholesky(precision))
        mean = (double(x) - self.bias) @ scaled @ covariance
        factor = torch.linalg.cholesky(covariance).expand(len(x), -1, -1)
        return MultivariateNormal(mean, scale_tril=factor, validate_args=False)

    def elbo(self, x: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
        r"""$\mathbb{E}_q \log p(x \mid z) - \mathrm{KL}(q \,\|\, p(z))$ of $q = N(\mu, L L^T)$.

        The expectation is $\log N(x; W\mu + b, \sigma^2 I) - \tfrac{1}{2\sigma^2}\|WL\|_F^2$.

        Args:
            x: (B, P).
            mean: mu, (B, D).
            factor: L, (B, D, D), lower triangular with a positive diagonal.

        Returns:
            (B,), nats; at most log p(x), and equal to it where q is the posterior.
        """
        spread = (self.weight @ factor).square().sum((-2, -1)) / (2 * self.deviation**2)
        rate = gaussian_divergence_full(mean, factor)
        return self.observe(mean).log_prob(double(x)) - spread - rate

    def divergence(self, x: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
        r"""$\mathrm{KL}(N(\mu, L L^T) \,\|\, p(z \mid x))$; arguments as `elbo`.

        Returns:
            (B,), nats, >= 0: what `elbo` lacks of log p(x).
        """
        posterior = self.posterior(x)
        return gaussian_divergence_full(mean, factor, posterior.mean, posterior.scale_tril)
