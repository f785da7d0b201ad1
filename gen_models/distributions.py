r"""Priors p(z), posterior heads q(z | x), likelihoods p(x | z): modules that give distributions.

A prior is called with nothing, a head with the features of a trunk, a likelihood with the
generator's pre-activations; each answers with a `torch.distributions.Distribution`, so that
densities, samples and divergences are torch's own.

One generator serves every likelihood and the GAN alike: with pre-activation a,
$(\tanh a + 1)/2 = \mathrm{sigmoid}(2a)$, so that a is the pixel's mean on [0, 1], or half its
logit.

Likelihoods are densities of *pixels in [0, 1]*, whatever scaling the networks see, so that nats
mean the same under every scaling. Arguments are not validated by torch: its checks wait for the
device in every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli as BernoulliDistribution,
)
from torch.distributions import (
    ContinuousBernoulli as ContinuousBernoulliDistribution,
)
from torch.distributions import (
    Distribution,
    Independent,
    Normal,
)
from torch.nn.functional import softplus

from gen_models.errors import UsageError


def pixel_mean(activation: Tensor) -> Tensor:
    r"""Pixels of a generator's output: $(\tanh a + 1)/2 = \mathrm{sigmoid}(2a)$.

    Args:
        activation: (B, C, H, W), pre-activations a.

    Returns:
        (B, C, H, W), pixels in [0, 1].
    """
    return torch.sigmoid(2 * activation)


class StandardNormal(nn.Module):
    """The prior N(0, I) over z.

    Args:
        latent_dim: D, the number of latent variables.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("mean", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("deviation", torch.ones(latent_dim), persistent=False)

    def forward(self) -> Distribution:
        """The distribution over z, event shape (D,)."""
        normal = Normal(self.mean, self.deviation, validate_args=False)
        return Independent(normal, 1, validate_args=False)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw z ~ p(z).

        Args:
            count: How many.
            generator: Where the randomness comes from; torch's global state by default.

        Returns:
            (count, D).
        """
        device = self.mean.device if generator is None else generator.device
        z = torch.randn(count, self.latent_dim, generator=generator, device=device)
        return z.to(self.mean.device)


class DiagonalGaussian(nn.Module):
    r"""Head of q(z | x) = N(mu, diag(sigma^2)), so that $z = \mu + \sigma\epsilon$.

    Kingma & Welling (2014), section 3. sigma = softplus(s) + 1e-4 grows linearly in s and
    cannot reach 0, which exp(s) does in float32.

    Args:
        latent_dim: D.
    """

    minimum = 1e-4

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.features = 2 * latent_dim

    def forward(self, features: Tensor) -> Distribution:
        """The posterior of each image.

        Args:
            features: (B, 2D), a trunk's output: mu beside s.

        Returns:
            Batch shape (B,), event shape (D,), float32.
        """
        mean, raw = features.float().chunk(2, dim=-1)
        normal = Normal(mean, softplus(raw) + self.minimum, validate_args=False)
        return Independent(normal, 1, validate_args=False)


class Likelihood(nn.Module):
    """p(x | z) over pixels in [0, 1], given the generator's pre-activations. Leaves say which."""

    def forward(self, activation: Tensor) -> Distribution:
        """The distribution of the pixels.

        Args:
            activation: (B, C, H, W), pre-activations.

        Returns:
            Batch shape (B,), event shape (C, H, W); `log_prob` gives (B,), nats per image.
        """
        raise AssertionError("a likelihood says what its distribution is")

    def mean(self, activation: Tensor) -> Tensor:
        """E[x | z], pixels in [0, 1], (B, C, H, W): what `decode` shows."""
        return pixel_mean(activation)

    def check(self, pixels: Tensor) -> None:
        """Refuse images outside the support.

        Args:
            pixels: (B, C, H, W), in [0, 1].

        Raises:
            UsageError: If the likelihood has no density there.
        """


class Gaussian(Likelihood):
    r"""N(x; sigmoid(2a), sigma^2 I) with one sigma for all pixels, learned or fixed.

    At the optimum the learned sigma^2 is the mean squared error per pixel (sigma-VAE: Rybkin et
    al., 2021).

    Args:
        deviation: sigma in units of pixels on [0, 1], > 0; the first value where it is learned.
        learned: Whether sigma is trained with the decoder.
    """

    def __init__(self, deviation: float = 0.3, learned: bool = False) -> None:
        super().__init__()
        if not deviation > 0:
            raise UsageError(f"likelihood.deviation must be above 0, not {deviation}")
        self.log_deviation = nn.Parameter(torch.tensor(deviation).log(), requires_grad=learned)

    def forward(self, activation: Tensor) -> Distribution:
        """Gaussian over pixels; see the base class for shapes."""
        normal = Normal(
            pixel_mean(activation.float()), self.log_deviation.exp(), validate_args=False
        )
        return Independent(normal, 3, validate_args=False)


class Bernoulli(Likelihood):
    """Bernoulli with logits 2a: a likelihood of *binary* images only."""

    def forward(self, activation: Tensor) -> Distribution:
        """Bernoulli over pixels in {0, 1}; see the base class for shapes."""
        inner = BernoulliDistribution(logits=2 * activation.float(), validate_args=False)
        return Independent(inner, 3, validate_args=False)

    def check(self, pixels: Tensor) -> None:
        """Refuse grey pixels: cross-entropy on them is no likelihood (it has no normaliser)."""
        grey = (pixels - pixels.round()).abs() > 1e-4
        if grey.any():
            raise UsageError(
                "likelihood=bernoulli needs binary images, but "
                f"{100 * grey.float().mean().item():.0f} % of the pixels in this batch are grey; "
                "use model/likelihood=continuous_bernoulli or "
                "model/likelihood=gaussian (resizing makes binary images grey: see data.image_size)"
            )


class _ContinuousBernoulliDistribution(ContinuousBernoulliDistribution):
    """Torch's distribution, with normaliser and mean computed from the logit L itself.

    Torch takes them from a clamped probability: in float32, beyond |L| = 15.9, its density
    integrates to less than one and no mean is darker than 0.063, so that black comes out as grey.
    """

    def _series(self, far: Callable[[Tensor], Tensor], near: Callable[[Tensor], Tensor]) -> Tensor:
        """`far(L)` where it is accurate, its Taylor series `near(L)` around 0."""
        small = self.logits.abs() < 0.3
        apart = torch.where(small, torch.ones_like(self.logits), self.logits)
        return torch.where(small, near(self.logits), far(apart))

    def _cont_bern_log_norm(self) -> Tensor:
        """Log C = log(L / tanh(L / 2))."""
        return self._series(
            lambda x: x.abs().log() - torch.tanh(x.abs() / 2).log(),
            lambda x: math.log(2) + x**2 / 12 - 7 * x**4 / 1440,
        )

    @property
    def mean(self) -> Tensor:
        """Sigmoid(L) / tanh(L / 2) - 1 / L."""
        return self._series(
            lambda x: x.sigmoid() / torch.tanh(x / 2) - 1 / x,
            lambda x: 0.5 + x / 12 - x**3 / 720,
        )


class ContinuousBernoulli(Likelihood):
    r"""$C(\lambda)\,\lambda^x (1-\lambda)^{1-x}$ on [0, 1], lambda = sigmoid(2a).

    Loaiza-Ganem & Cunningham (2019), equation 4. `mean` is the distribution's own mean, which is
    less extreme than lambda.
    """

    def forward(self, activation: Tensor) -> Distribution:
        """Continuous Bernoulli over pixels; see the base class for shapes."""
        return Independent(self._pixels(activation), 3, validate_args=False)

    def mean(self, activation: Tensor) -> Tensor:
        """E[x | z], (B, C, H, W)."""
        return self._pixels(activation).mean

    def _pixels(self, activation: Tensor) -> Distribution:
        return _ContinuousBernoulliDistribution(logits=2 * activation.float(), validate_args=False)
