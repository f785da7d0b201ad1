"""The evidence lower bound, per image, in nats, and what is made of its two terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from gen_models.capabilities import ElboTerms
from gen_models.errors import UsageError
from gen_models.objectives.schedules import Schedule, at, check_not_negative, check_taught

T = TypeVar("T")


class once(Generic[T]):
    """`functools.cached_property` without its lock, at which torch's compiler breaks off.

    The lock is gone in Python 3.12, and so may this be then.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        if instance is None:
            return self  # type: ignore[return-value]
        value = self.function(instance)
        instance.__dict__[self.name] = value
        return value


@dataclass(frozen=True, eq=False)
class Draws:
    r"""K draws $z \sim q(z|x)$ for each of B images, and what the densities say of them, in nats.

    Attributes:
        z: (K, B, D), reparameterised.
        log_likelihood: (K, B), log p(x | z).
        posterior: q(z | x), batch shape (B,), event shape (D,).
        prior: p(z), event shape (D,).
        population: N, the number of training images that the B are a batch of; None: not known.
    """

    z: Tensor
    log_likelihood: Tensor
    posterior: Distribution
    prior: Distribution
    population: int | None = None

    @once
    def log_prior(self) -> Tensor:
        """Log p(z), (K, B)."""
        return self.prior.log_prob(self.z)

    @once
    def log_posterior(self) -> Tensor:
        """Log q(z | x), (K, B)."""
        return self.posterior.log_prob(self.z)

    @property
    def log_weights(self) -> Tensor:
        """Log of the importance weights p(x, z) / q(z | x), (K, B)."""
        return self.log_likelihood + self.log_prior - self.log_posterior

    @once
    def rate(self) -> Tensor:
        """KL(q(z | x) || p(z)), (B,): in closed form where there is one, else over the draws.

        A posterior of several levels has a method `divergence(prior, z)`, closed level by level.
        """
        divergence: Any = getattr(self.posterior, "divergence", None)
        if divergence is not None:
            return divergence(self.prior, self.z)
        try:
            return kl_divergence(self.posterior, self.prior)
        except NotImplementedError:
            return (self.log_posterior - self.log_prior).mean(0)

    @property
    def rate_per_latent(self) -> Tensor:
        """KL(q(z_j | x) || p(z_j)), (B, D).

        Raises:
            UsageError: If posterior or prior does not factorise over latents.
        """
        pair = self.posterior, self.prior
        if not all(isinstance(one, Independent) for one in pair):
            raise UsageError(
                "the rate of single latents needs a diagonal Gaussian posterior and a standard "
                "normal prior: set model/posterior=diagonal model/prior=standard_normal"
            )
        return kl_divergence(*(one.base_dist for one in pair))  # type: ignore[attr-defined]

    @once
    def terms(self) -> ElboTerms:
        """The two terms of the bound, unweighted, (B,) each."""
        drawn = self.log_likelihood
        return ElboTerms(drawn.squeeze(0) if len(drawn) == 1 else drawn.mean(0), self.rate)


def draw(
    pixels: Tensor,
    posterior: Distribution,
    prior: Distribution,
    likelihood: Callable[[Tensor], Distribution],
    count: int = 1,
    population: int | None = None,
) -> Draws:
    r"""Draw from the posterior and decode: all that a bound is estimated from.

    One draw gives the estimator of Kingma & Welling (2014), equation 7. Log densities are sums over
    pixels and latents, never means: a mean over pixels with a sum over latents is a beta-VAE whose
    beta depends on the image size.

    Args:
        pixels: (B, C, H, W), in [0, 1].
        posterior: Batch shape (B,), event shape (D,), reparameterised.
        prior: Event shape (D,).
        likelihood: Maps z (K B, D) to the distribution of the pixels.
        count: K, draws an image.
        population: Passed on.
    """
    z = posterior.rsample(torch.Size([count]))
    repeated = pixels if count == 1 else pixels.repeat(count, 1, 1, 1)
    log_likelihood = likelihood(z.flatten(0, 1)).log_prob(repeated).unflatten(0, z.shape[:2])
    return Draws(z, log_likelihood, posterior, prior, population)


class Bound(Protocol):
    """What a VAE minimises: a dataclass that is called with draws.

    Attributes:
        draws: K, draws an image that it needs.
    """

    @property
    def draws(self) -> int:
        """K."""
        ...

    def __call__(self, draws: Draws, images_seen: int = 0) -> Tensor:
        """The objective of each image, (B,), nats, to be minimised."""
        ...


def logged(draws: Draws) -> dict[str, Tensor]:
    """The bound's terms, unweighted, means in nats per image, without gradients."""
    log_likelihood, rate = (term.detach().mean() for term in draws.terms)
    reconstruction = -log_likelihood
    return {
        "negative_elbo_nats": reconstruction + rate,
        "reconstruction_nats": reconstruction,
        "rate_nats": rate,
    }


def summary(objective: Bound, draws: Draws, images_seen: int) -> dict[str, Tensor]:
    """The objective's mean, and what is `logged` beside it."""
    terms = logged(draws)
    return {"loss": objective(draws, images_seen).mean(), **terms}


@dataclass(frozen=True)
class NegativeELBO:
    r"""$-E_q[\log p(x|z)] + \beta\,KL(q(z|x) \,\|\, p(z))$, to be minimised.

    beta = 1 is the bound itself (Kingma & Welling, 2014); any other weight is an objective and no
    bound (Higgins et al., 2017), so that reports print the terms and never this value.

    Attributes:
        beta: Weight of the rate, >= 0: a number, or a schedule (a warm-up, say).
        free_nats: The rate of a latent that costs nothing, lambda in
            $\sum_j \max(\lambda, \overline{KL_j})$, the mean over the batch ("free bits": Kingma et
            al., 2016, equation 15); 0: the plain rate.
        draws: K, draws an image over which the two terms are averaged.

    Raises:
        UsageError: If a number is negative.
    """

    beta: float | Schedule = 1.0
    free_nats: float = 0.0
    draws: int = 1

    def __post_init__(self) -> None:
        check_not_negative("objective.beta", self.beta)
        check_not_negative("objective.free_nats", self.free_nats)
        check_draws(self.draws)

    def bind(self, prior: nn.Module) -> None:
        """Meet the prior, once; see `check_taught`."""
        check_taught(prior, "model.objective.beta", self.beta)

    def __call__(self, draws: Draws, images_seen: int = 0) -> Tensor:
        """The objective of each image, (B,), nats; with free nats only its mean is meant."""
        rate = draws.rate
        if self.free_nats:
            rate = draws.rate_per_latent.mean(0).clamp_min(self.free_nats).sum().expand_as(rate)
        return at(self.beta, images_seen) * rate - draws.terms.log_likelihood


@dataclass(frozen=True)
class Capacity:
    r"""$-E_q[\log p(x|z)] + \gamma\,|KL(q(z|x) \,\|\, p(z)) - C|$ (Burgess et al., 2018).

    Attributes:
        capacity: C, nats an image: a number or a schedule.
        gamma: Weight of the distance from it.
        draws: K.

    Raises:
        UsageError: If a number is negative.
    """

    capacity: float | Schedule
    gamma: float = 100.0
    draws: int = 1

    def __post_init__(self) -> None:
        check_not_negative("objective.capacity", self.capacity)
        check_not_negative("objective.gamma", self.gamma)
        check_draws(self.draws)

    def bind(self, prior: nn.Module) -> None:
        """Meet the prior, once; see `check_taught`."""
        check_taught(prior, "model.objective.gamma", self.gamma)

    def __call__(self, draws: Draws, images_seen: int = 0) -> Tensor:
        """The objective; |mean rate - C| is the batch's, so that only its mean is meant."""
        distance = (draws.rate.mean() - at(self.capacity, images_seen)).abs()
        return self.gamma * distance - draws.terms.log_likelihood


def check_draws(count: int) -> None:
    """Refuse an objective without draws.

    Raises:
        UsageError: If there are none.
    """
    if not isinstance(count, int) or count < 1:
        raise UsageError(f"objective.draws must be 1 or more, not {count}")
