r"""What all posteriors of a data set say together: active units, I(x; z), KL(q(z) || p(z))."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood.numerics import double
from gen_models.evaluation.statistics.estimate import Estimate, mean_estimate


class Aggregate(NamedTuple):
    r"""The mean rate $\mathbb{E}_x \mathrm{KL}(q(z|x) \,\|\, p(z))$ and its two parts, in nats.

    rate = information + divergence, exactly, as all three are of the same draws.

    Attributes:
        information: I(x; z), at most log N.
        divergence: KL(q(z) || p(z)).
        rate: Their sum.
    """

    information: Estimate
    divergence: Estimate
    rate: Estimate


def active_units(means: Tensor, threshold: float = 0.01) -> int:
    r"""How many latents carry something: $\mathrm{Var}_x(\mathbb{E}_q[z_j]) > 0.01$.

    Burda et al. (2016), section 5.2.

    Args:
        means: (N, D), posterior means of N >= 2 images.
        threshold: In squared units of z.

    Raises:
        UsageError: If there are fewer than 2 images.
    """
    if len(means) < 2:
        raise UsageError("active units need posterior means of 2 images or more")
    return int((double(means).var(0) > threshold).sum())


@torch.no_grad()
def aggregate(
    posterior: Distribution, prior: Distribution, z: Tensor, block: int = 2**24
) -> Aggregate:
    r"""Split the mean rate into what z tells of x and how far $q(z)$ is from the prior.

    $\mathbb{E}_x \mathrm{KL}(q(z|x) \,\|\, p(z)) = I(x; z) + \mathrm{KL}(q(z) \,\|\, p(z))$ with
    the aggregated posterior $q(z) = \frac1N \sum_n q(z \mid x_n)$ (Hoffman & Johnson, 2016;
    Makhzani et al., 2016), of all N posteriors: minibatch estimates are biased by nats (Chen et
    al., 2018). For these N images as the whole data set the estimates have no bias; draws have
    log q(z | x) - log q(z) <= log N each, and in the mean >= 0.

    Args:
        posterior: q(z | x) of all N images, batch shape (N,), event shape (D,).
        prior: p(z), event shape (D,).
        z: (K, N, D), K draws of each posterior.
        block: Most numbers to hold at a time, in N x D each draw.

    Returns:
        Estimates with standard errors over images.
    """
    count, dimension = z.shape[1:]
    assert posterior.batch_shape == (count,), "one posterior for each image"
    log_posterior = double(posterior.log_prob(z))
    log_prior = double(prior.log_prob(z))
    of_all = _log_prob_of_all(posterior)
    size = max(1, block // (count * dimension))
    parts = [of_all(part).logsumexp(1) for part in z.flatten(0, 1).split(size)]
    log_marginal = torch.cat(parts).view(z.shape[:2]) - math.log(count)
    return Aggregate(
        mean_estimate((log_posterior - log_marginal).mean(0)),
        mean_estimate((log_marginal - log_prior).mean(0)),
        mean_estimate((log_posterior - log_prior).mean(0)),
    )


def _log_prob_of_all(posterior: Distribution) -> Callable[[Tensor], Tensor]:
    """A function of z (M, D): log q(z | x_n) by all posteriors, (M, N), float64."""
    if not (isinstance(posterior, Independent) and isinstance(posterior.base_dist, Normal)):
        return lambda z: double(posterior.log_prob(z[:, None]))
    # A quadratic form in z: one product of matrices, some 20 times as fast.
    mean, deviation = double(posterior.mean), double(posterior.stddev)
    precision = deviation.square().reciprocal()
    weights = torch.cat((-0.5 * precision, mean * precision), 1).T
    normal = Independent(Normal(mean, deviation, validate_args=False), 1, validate_args=False)
    constant = normal.log_prob(torch.zeros_like(mean))
    return lambda z: torch.addmm(constant, torch.cat((double(z).square(), double(z)), 1), weights)
