"""Bounds that weigh several draws by their importance."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from gen_models.errors import UsageError
from gen_models.objectives.elbo import Draws, check_draws


def log_mean_exp(values: Tensor, dim: int) -> Tensor:
    """Log of the mean of exponentials along a dimension."""
    return values.logsumexp(dim) - math.log(values.shape[dim])


@dataclass(frozen=True)
class ImportanceWeighted:
    r"""Bounds of K = `groups` x `draws / groups` draws z_mk, to be minimised negated.

    $$\beta\,\mathrm{ELBO} + (1 - \beta) \frac1M \sum_m \log \frac1{K/M} \sum_k
    \frac{p(x, z_{mk})}{q(z_{mk}|x)}$$

    One group and beta = 0 is the importance weighted bound (IWAE: Burda et al., 2016, equation 8);
    several groups the mean of such bounds (MIWAE), beta > 0 the combination with the ELBO (CIWAE:
    Rainforth et al., 2018).

    Attributes:
        draws: K, in all.
        groups: M, a divisor of K: the mean is taken over groups, the log-mean-exp inside.
        elbo_share: beta, in [0, 1].
        doubly_reparameterised: Whether the encoder's gradient is the doubly reparameterised one
            (DReG: Tucker et al., 2019, equation 7), whose signal does not vanish as K grows; the
            value and the decoder's gradient stay the same. For Gaussian posteriors and beta = 0.

    Raises:
        UsageError: If the numbers do not fit together.
    """

    draws: int = 50
    groups: int = 1
    elbo_share: float = 0.0
    doubly_reparameterised: bool = True

    def __post_init__(self) -> None:
        check_draws(self.draws)
        if self.groups < 1 or self.draws % self.groups:
            raise UsageError(f"objective.groups={self.groups} must divide draws={self.draws}")
        if not 0 <= self.elbo_share <= 1:
            raise UsageError(f"objective.elbo_share={self.elbo_share} must be in [0, 1]")
        if self.elbo_share and self.doubly_reparameterised:
            raise UsageError(
                "objective.elbo_share goes with doubly_reparameterised=false: the ELBO's own "
                "gradient is another"
            )

    def __call__(self, draws: Draws, images_seen: int = 0) -> Tensor:
        """Minus the bound of each image, (B,), nats."""
        path = self.doubly_reparameterised and draws.z.requires_grad
        weights = _path_weights(draws) if path else draws.log_weights
        grouped = weights.unflatten(0, (self.groups, -1))  # (M, K / M, B)
        bound = log_mean_exp(grouped, dim=1).mean(0)
        if path:
            share = grouped.detach().softmax(1).flatten(0, 1)[..., None]
            draws.z.register_hook(lambda gradient: share * gradient)
        if self.elbo_share:
            bound = self.elbo_share * weights.mean(0) + (1 - self.elbo_share) * bound
        return -bound


def _path_weights(draws: Draws) -> Tensor:
    """The log weights with the posterior's parameters held: gradients reach them through z alone.

    The chain from the bound to z brings the normalised weight once; the hook on z brings it a
    second time.
    """
    held = detached(draws.posterior)
    return draws.log_likelihood + draws.log_prior - held.log_prob(draws.z)


def detached(distribution: Distribution) -> Distribution:
    """The same Gaussian, with parameters that take no gradient.

    Raises:
        UsageError: If the distribution is made by a network of its own, as a flow is.
    """
    held = copy.copy(distribution)
    for name, value in vars(distribution).items():
        if isinstance(value, Tensor):
            held.__dict__[name] = value.detach()
        elif isinstance(value, Distribution):
            held.__dict__[name] = detached(value)
        elif isinstance(value, torch.nn.Module) or (
            isinstance(value, list) and any(not isinstance(v, int | float) for v in value)
        ):
            raise UsageError(
                f"no doubly reparameterised gradient for {type(distribution).__name__}: set "
                "model.objective.doubly_reparameterised=false"
            )
    return held
