"""The evidence lower bound, per image, in nats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from gen_models.capabilities import ElboTerms
from gen_models.errors import UsageError


def elbo_terms(
    pixels: Tensor,
    posterior: Distribution,
    prior: Distribution,
    likelihood: Callable[[Tensor], Distribution],
) -> ElboTerms:
    r"""One-sample estimate of $E_q[\log p(x|z)]$ and the closed-form $KL(q(z|x) \,\|\, p(z))$.

    The estimator of Kingma & Welling (2014), equation 7. Both terms are sums over pixels and
    latents, never
    means: a mean over pixels with a sum over latents is a beta-VAE whose beta depends on the image
    size.

    Args:
        pixels: (B, C, H, W), in [0, 1].
        posterior: Batch shape (B,), event shape (D,), reparameterised.
        prior: Event shape (D,).
        likelihood: Maps z (B, D) to the distribution of the pixels.

    Returns:
        Two tensors (B,), nats per image.
    """
    z = posterior.rsample()
    return ElboTerms(likelihood(z).log_prob(pixels), kl_divergence(posterior, prior))


@dataclass(frozen=True)
class NegativeELBO:
    r"""$-E_q[\log p(x|z)] + \beta\,KL(q(z|x) \,\|\, p(z))$, to be minimised.

    beta = 1 is the bound itself (Kingma & Welling, 2014); any other weight is an objective and no
    bound (Higgins et al., 2017), so that reports print the terms and never this value.

    Attributes:
        beta: Weight of the rate, >= 0.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        if not self.beta >= 0:
            raise UsageError(f"objective.beta must be 0 or more, not {self.beta}")

    def __call__(self, terms: ElboTerms) -> Tensor:
        """The objective of each image, (B,), nats."""
        return self.beta * terms.rate - terms.log_likelihood
