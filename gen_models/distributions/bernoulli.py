"""Likelihoods of pixels with an end at 0 and at 1: binary ones and grey ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Bernoulli as BernoulliDistribution
from torch.distributions import ContinuousBernoulli as ContinuousBernoulliDistribution
from torch.distributions import Distribution, Independent

from gen_models.distributions.likelihoods import Likelihood
from gen_models.distributions.precision import widened
from gen_models.errors import UsageError


class Bernoulli(Likelihood):
    """Bernoulli with logits 2a: a likelihood of *binary* images only."""

    def forward(self, activation: Tensor) -> Distribution:
        """Bernoulli over pixels in {0, 1}; see the base class for shapes."""
        inner = BernoulliDistribution(logits=2 * widened(activation), validate_args=False)
        return Independent(inner, 3, validate_args=False)

    def check(self, pixels: Tensor) -> None:
        """Refuse grey pixels: cross-entropy on them is no likelihood (it has no normaliser)."""
        grey = (pixels - pixels.round().clamp(0, 1)).abs() > 1e-4
        if grey.any():
            raise UsageError(
                "likelihood=bernoulli needs binary images, but "
                f"{100 * grey.float().mean().item():.0f} % of the pixels in this batch are grey; "
                "use data.binarize=dynamic, or model/likelihood=gaussian (resizing makes binary "
                "images grey: see data.image_size)"
            )


class _ContinuousBernoulliDistribution(ContinuousBernoulliDistribution):
    """Torch's distribution, with all that hangs on its normaliser computed from the logit L itself.

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

    @property
    def variance(self) -> Tensor:
        """1 / L^2 - 1 / (4 sinh^2(L / 2))."""
        return self._series(
            lambda x: x**-2 - (-x.abs()).exp() / torch.expm1(-x.abs()) ** 2,
            lambda x: 1 / 12 - x**2 / 240 + x**4 / 6048,
        )

    def entropy(self) -> Tensor:
        """1 - log |L| + log(1 - e^-|L|) - |L| / (e^|L| - 1), nats."""

        def far(x: Tensor) -> Tensor:
            rate = x.abs()
            share = -torch.expm1(-rate)
            return 1 - rate.log() + share.log() - rate * (-rate).exp() / share

        return self._series(far, lambda x: -(x**2) / 24 + x**4 / 960)

    def cdf(self, value: Tensor) -> Tensor:
        """(e^(L x) - 1) / (e^L - 1); those of L > 0 are mirrored ones of -L, as in `icdf`."""
        rate = -self.logits.abs().clamp_min(1e-6)
        dark = self.logits < 0
        value = value.clamp(0, 1)
        share = torch.expm1(torch.where(dark, value, 1 - value) * rate) / rate.expm1()
        return torch.where(dark, share, 1 - share)

    def icdf(self, value: Tensor) -> Tensor:
        r"""Quantiles, (..., shape of L): $\log(1 + u\,(e^L - 1)) / L$, which sampling is made of.

        Those of L > 0 are mirrored ones of -L, whose exponential cannot overflow. They are held to
        [0, 1]: e^-L is lost beside 1 in float32 beyond L = 17, and the logarithm of 0 left.
        """
        rate = -self.logits.abs().clamp_min(1e-6)
        dark = self.logits < 0
        quantile = torch.log1p(torch.where(dark, value, 1 - value) * rate.expm1()) / rate
        return torch.where(dark, quantile, 1 - quantile).clamp(0, 1)


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

    def check(self, pixels: Tensor) -> None:
        """Refuse pixels outside [0, 1], where the density is 0 and its formula is not."""
        outside = (pixels - pixels.clamp(0, 1)).abs() > 1e-4
        if outside.any():
            raise UsageError(
                "likelihood=continuous_bernoulli needs pixels in [0, 1], but "
                f"{100 * outside.float().mean().item():.0f} % of those in this batch are outside; "
                "use model/likelihood=gaussian with model.likelihood.link=identity"
            )

    def _pixels(self, activation: Tensor) -> Distribution:
        return _ContinuousBernoulliDistribution(logits=2 * widened(activation), validate_args=False)
