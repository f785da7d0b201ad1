r"""Two levels of latents in one vector $z = (z_1, z_2)$, of D = D1 + D2 variables.

The generator sees the bottom level z1 alone; the top level z2 is there to make $p(z_1) = \int
p(z_2)\,p(z_1|z_2)\,dz_2$ richer. As both levels are one vector, whatever works on latents (draws,
importance weights, annealing, sampling) works on them as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from gen_models.distributions.posteriors import DiagonalGaussian


class ConditionalGaussian(nn.Module):
    r"""$N(\mu(u), \mathrm{diag}\,\sigma^2(u))$ of one level given the other, by a small network.

    Args:
        given: Variables of the level u that is given.
        latent_dim: Variables of the level whose distribution it is.
        hidden: Widths of the hidden layers, leaky ReLU; none: mu and the raw sigma are affine.
    """

    def __init__(self, given: int, latent_dim: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.head = DiagonalGaussian(latent_dim)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([given, *hidden]):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2)]
        last = nn.Linear([given, *hidden][-1], self.head.features)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, values: Tensor) -> Distribution:
        """The distribution at each of `values` (..., given): batch shape (...), event (D,)."""
        return self.head(self.layers(values))


def product(one: Distribution, other: Distribution) -> Distribution:
    r"""The normalised product of two diagonal Gaussians: precisions add, means weigh by them.

    $$\sigma^{-2} = \sigma_1^{-2} + \sigma_2^{-2},\qquad
    \mu = \sigma^2 (\mu_1 \sigma_1^{-2} + \mu_2 \sigma_2^{-2})$$

    Sønderby et al. (2016), equations 8 to 10.

    Args:
        one: Batch shape (..., B), event shape (D,).
        other: The same; batch shapes are broadcast.
    """
    precisions = one.variance.reciprocal(), other.variance.reciprocal()
    precision = precisions[0] + precisions[1]
    mean = (precisions[0] * one.mean + precisions[1] * other.mean) / precision
    return Independent(Normal(mean, precision.rsqrt(), validate_args=False), 1, validate_args=False)


class TwoLevels(Distribution):
    """A distribution of z = (z1, z2), drawn one level after the other.

    The first level drawn has any distribution; the second is a Gaussian given the first, by a
    network, and multiplied with `evidence` where there is some.

    Args:
        first: Of the level that is drawn first: batch shape (B,) or (), event shape its variables.
        network: Gives the other level's distribution; says its variables as `latent_dim`.
        downward: Whether z2 comes first, and z1 given z2; else z1, and z2 given z1.
        evidence: A diagonal Gaussian over the second level, batch shape (B,).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = True

    def __init__(
        self,
        first: Distribution,
        network: nn.Module,
        downward: bool,
        evidence: Distribution | None = None,
    ) -> None:
        self.first, self.network = first, network
        self.downward, self.evidence = downward, evidence
        sizes = first.event_shape[0], int(network.latent_dim)  # type: ignore[arg-type]
        self.bottom = sizes[downward]
        super().__init__(first.batch_shape, torch.Size([sum(sizes)]), validate_args=False)

    def second(self, first: Tensor) -> Distribution:
        """Of the other level, given draws (..., B, variables) of the first."""
        given = self.network(first)
        return given if self.evidence is None else product(self.evidence, given)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Reparameterised draws, (*sample_shape, B, D)."""
        first = self.first.rsample(torch.Size(sample_shape))
        return self._join(first, self.second(first).rsample())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of z (..., B, D), nats: of the first level, plus the second's given it."""
        first, second = self._split(value)
        return self.first.log_prob(first) + self.second(first).log_prob(second)

    @property
    def mean(self) -> Tensor:
        """(B, D): the first level's mean, and the second's given it.

        Of the second level it is E[z] only where the network is affine.
        """
        first = self.first.mean
        return self._join(first, self.second(first).mean)

    def conditionals(self, z: Tensor) -> tuple[Distribution, Distribution]:
        """The factors of the density at z (..., B, D): the one of z1, the one of z2."""
        first, _ = self._split(z)
        second = self.second(first)
        return (second, self.first) if self.downward else (self.first, second)

    def divergences(self, prior: TwoLevels, z: Tensor) -> tuple[Tensor, Tensor]:
        r"""The rate of each level; they sum to $KL(q(z|x) \,\|\, p(z))$ on average.

        Downward: $KL(q(z_2|x)\|p(z_2))$ and $E\,KL(q(z_1|x,z_2)\|p(z_1|z_2))$, closed but for the
        mean over draws of z2: no level falls below 0 (Sønderby et al., 2016). Upward:
        $E\,KL(q(z_2|z_1)\|p(z_2))$ is closed given z1, and $E[\log q(z_1|x) - \log p(z_1|z_2)]$ is
        of the draws alone: it is no divergence, and one draw's value can be negative.

        Args:
            prior: p(z), drawn downward.
            z: (K, B, D), draws of this distribution.

        Returns:
            Of z1 and of z2, (B,) each, nats.
        """
        bottom, top = self.conditionals(z)
        prior_bottom, prior_top = prior.conditionals(z)
        if self.downward:
            below = kl_divergence(bottom, prior_bottom)
            return below.mean(0), kl_divergence(top, prior_top)
        z1, _ = self._split(z)
        below = bottom.log_prob(z1) - prior_bottom.log_prob(z1)
        return below.mean(0), kl_divergence(top, prior_top).mean(0)

    def divergence(self, prior: Distribution, z: Tensor) -> Tensor:
        """KL(q(z | x) || p(z)), (B,), nats: level by level where the prior has two as well.

        Args:
            prior: p(z), event shape (D,).
            z: (K, B, D), draws of this distribution.
        """
        if isinstance(prior, TwoLevels):
            return torch.stack(self.divergences(prior, z)).sum(0)
        return (self.log_prob(z) - prior.log_prob(z)).mean(0)

    def _join(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([second, first] if self.downward else [first, second], dim=-1)

    def _split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The level that is drawn first, and the other."""
        bottom, top = z[..., : self.bottom], z[..., self.bottom :]
        return (top, bottom) if self.downward else (bottom, top)
