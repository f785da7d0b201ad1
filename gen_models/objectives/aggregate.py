r"""Objectives on the aggregated posterior $q(z) = \frac1N \sum_n q(z | x_n)$, in nats.

A batch shows B of the N posteriors, so that what training sees of q(z) is an estimate. It serves
for gradients alone: the evaluation sums over all posteriors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from gen_models.errors import UsageError
from gen_models.objectives.elbo import Draws, check_draws
from gen_models.objectives.schedules import Schedule, at, check_not_negative

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Widths of the kernel in units of 2 D sigma^2 (the code of Tolstikhin et al., 2018)."""


class RateParts(NamedTuple):
    r"""The rate in three parts, (K, B) each: $\log q(z|x) - \log p(z)$ is their sum, draw by draw.

    Attributes:
        information: log q(z | x) - log q(z), whose mean is I(x; z), nats.
        total_correlation: log q(z) - sum_j log q(z_j), whose mean is KL(q(z) || prod_j q(z_j)).
        dimension_wise: sum_j log q(z_j) - log p(z), whose mean is sum_j KL(q(z_j) || p(z_j)).
    """

    information: Tensor
    total_correlation: Tensor
    dimension_wise: Tensor


def stratified_weights(batch: int, population: int) -> Tensor:
    r"""Weights w_ij of the posteriors of a batch in $q(z_i) \approx \sum_j w_{ij}\,q(z_i | x_j)$.

    An image is surely among the N: its own posterior weighs 1/N. The others of the batch stand for
    the N - 1 others, and weigh (N - 1) / (N (B - 1)) each. This is minibatch stratified sampling
    (Chen et al., 2018, appendix C.2), averaged over which of the others has the odd weight there:
    as unbiased for q(z), of less variance, and exact where B = N. The logarithm of it is biased.

    Args:
        batch: B, images; where it is 1, that image stands for all.
        population: N, images.

    Returns:
        (B, B), float64; rows sum to 1, the diagonal is 1/N.
    """
    if batch == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    others = (population - 1) / (population * (batch - 1))
    weights = torch.full((batch, batch), others, dtype=torch.float64)
    return weights.fill_diagonal_(1 / population)


def rate_parts(draws: Draws) -> RateParts:
    r"""Split the rate by the aggregated posterior, estimated from a batch.

    Hoffman & Johnson (2016); Chen et al. (2018), equation 2.

    Raises:
        UsageError: If the number of training images is not known, or posterior or prior does not
            factorise over latents.
    """
    if draws.population is None:
        raise UsageError(
            "the total correlation needs the number of training images: set model.training_images"
        )
    if not isinstance(draws.posterior, Independent):
        raise UsageError(
            "the total correlation needs a posterior that factorises over latents: set "
            "model/posterior=diagonal"
        )
    if not isinstance(draws.prior, Independent):
        raise UsageError(
            "the total correlation needs a prior that factorises over latents, as single latents "
            "are held to it: set model/prior=standard_normal"
        )
    weights = stratified_weights(draws.z.shape[1], draws.population).log().to(draws.z)
    latents = draws.posterior.base_dist.log_prob(draws.z[:, :, None])  # (K, B, B, D): of z_i at x_j
    joint = (weights + latents.sum(-1)).logsumexp(2)
    marginals = (weights[..., None] + latents).logsumexp(2).sum(-1)
    return RateParts(draws.log_posterior - joint, joint - marginals, marginals - draws.log_prior)


@dataclass(frozen=True)
class TotalCorrelation:
    r"""$-E_q[\log p(x|z)] + \alpha\,I(x;z) + \beta\,TC(z) + \gamma \sum_j KL(q(z_j)\|p(z_j))$.

    beta-TCVAE (Chen et al., 2018, equation 4). With all three weights 1 it is the negative ELBO
    with the rate of the draws, whatever the estimate of q(z) is.

    Attributes:
        alpha: Weight of the mutual information of image and latents, >= 0.
        beta: Weight of the total correlation of the latents, >= 0.
        gamma: Weight of the divergence of the single latents from the prior, >= 0.
        draws: K.

    Raises:
        UsageError: If a weight is negative.
    """

    alpha: float | Schedule = 1.0
    beta: float | Schedule = 6.0
    gamma: float | Schedule = 1.0
    draws: int = 1

    def __post_init__(self) -> None:
        check_not_negative("objective.alpha", self.alpha)
        check_not_negative("objective.beta", self.beta)
        check_not_negative("objective.gamma", self.gamma)
        check_draws(self.draws)

    def __call__(self, draws: Draws, images_seen: int = 0) -> Tensor:
        """The objective of each image, (B,), nats."""
        weights = (at(weight, images_seen) for weight in (self.alpha, self.beta, self.gamma))
        parts = zip(weights, rate_parts(draws), strict=True)
        rate = torch.stack([weight * part.mean(0) for weight, part in parts]).sum(0)
        return rate - draws.terms.log_likelihood


def maximum_mean_discrepancy(
    z: Tensor, prior_z: Tensor, scales: Sequence[float] = SCALES, variance: float = 1.0
) -> Tensor:
    r"""Squared maximum mean discrepancy between the laws of two samples, without bias.

    $$\frac{\sum_{i \ne j} k(z_i, z_j)}{n (n-1)} + \frac{\sum_{i \ne j} k(z'_i, z'_j)}{m (m-1)} -
    \frac{2 \sum_{ij} k(z_i, z'_j)}{n m},\qquad
    k(u, v) = \sum_s \frac{C_s}{C_s + |u - v|^2},\quad C_s = 2 D \sigma^2 s$$

    U-statistic of Gretton et al. (2012), equation 3, with the inverse multiquadric kernel of
    Tolstikhin et al. (2018). It has mean 0 where the laws are equal, so that it can be
    negative.

    Args:
        z: (n, D). A single point has no pairs: its term is 0.
        prior_z: (m, D).
        scales: s.
        variance: sigma^2, of a latent under the prior, in squared units of z.

    Returns:
        Scalar, in units of the kernel, whose largest value is the number of scales.
    """
    widths = [2 * z.shape[1] * variance * scale for scale in scales]

    def kernel(left: Tensor, right: Tensor) -> Tensor:
        # Differences, no inner products: those lose the digits of near points in float32.
        distance = (left[:, None] - right).square().sum(-1)
        return torch.stack([width / (width + distance) for width in widths]).sum(0)

    def within(points: Tensor) -> Tensor:
        pairs = kernel(points, points)
        return (pairs.sum() - pairs.trace()) / max(len(points) * (len(points) - 1), 1)

    return within(z) + within(prior_z) - 2 * kernel(z, prior_z).mean()


@dataclass(frozen=True)
class MaximumMeanDiscrepancy:
    r"""$-E_q[\log p(x|z)] + \beta\,KL(q(z|x) \,\|\, p(z)) + \lambda\,\mathrm{MMD}^2(q(z), p(z))$.

    InfoVAE (Zhao et al., 2019), whose own letters give beta = 1 - alpha and lambda = alpha + lambda
    - 1. With beta = 0 (the default, "MMD-VAE") it is the Wasserstein autoencoder of Tolstikhin et
    al. (2018) with a Gaussian encoder.

    Attributes:
        weight: lambda, >= 0: nats for a unit of `maximum_mean_discrepancy`.
        rate_weight: beta, >= 0.
        scales: Widths of the kernel, there.
        draws: K; each makes a sample of B latents, and their discrepancies are averaged.

    Raises:
        UsageError: If a number is negative.
    """

    weight: float | Schedule
    rate_weight: float | Schedule = 0.0
    scales: Sequence[float] = SCALES
    draws: int = 1

    def __post_init__(self) -> None:
        check_not_negative("objective.weight", self.weight)
        check_not_negative("objective.rate_weight", self.rate_weight)
        check_draws(self.draws)
        if not self.scales or min(self.scales) <= 0:
            raise UsageError(f"objective.scales must all be above 0, not {list(self.scales)}")

    def __call__(self, draws: Draws, images_seen: int = 0) -> Tensor:
        """The objective of each image, (B,); the discrepancy is the batch's, the same for all."""
        shape = draws.z.shape[:2]
        prior = draws.prior.rsample(shape) if draws.prior.has_rsample else draws.prior.sample(shape)
        pairs = zip(draws.z, prior, strict=True)
        discrepancy = torch.stack([self._discrepancy(z, other) for z, other in pairs]).mean()
        rate = at(self.rate_weight, images_seen) * draws.rate
        return rate + at(self.weight, images_seen) * discrepancy - draws.terms.log_likelihood

    def bind(self, prior: nn.Module) -> None:
        """Meet the prior: called once by the model.

        Raises:
            UsageError: If it has parameters that neither the rate nor its draws teach.
        """
        learned = any(p.requires_grad for p in prior.parameters())
        if self.rate_weight == 0 and learned and not prior().has_rsample:
            raise UsageError(
                f"model.prior={type(prior).__name__} has parameters, which its draws do not teach "
                "and model.objective.rate_weight=0 leaves out: set a weight above 0, or "
                "model/prior=standard_normal or flow"
            )

    def _discrepancy(self, z: Tensor, prior_z: Tensor) -> Tensor:
        return maximum_mean_discrepancy(z, prior_z, self.scales)
