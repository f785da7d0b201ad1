r"""Likelihoods of bytes: logistic densities integrated over the 256 levels k / 255.

Their log-likelihood is the log of a *probability*, at most 0, so that

$$\text{bits per dimension} = -\log p(x) / (\log 2 \cdot C H W)$$

is a code length, comparable with published ones; it is not comparable with any density.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid, softplus

from gen_models.distributions.likelihoods import Likelihood, check_width, pixel_mean
from gen_models.distributions.precision import widened
from gen_models.errors import UsageError

LEVELS = 256
STEP = 1 / (LEVELS - 1)


class _Levels(Distribution):
    r"""A logistic variable, rounded to the nearest level k / 255; the end levels take the tails.

    With edges $b = (x + \tfrac1{510} - \mu)/s$ and $a = (x - \tfrac1{510} - \mu)/s$,

    $$\sigma(b) - \sigma(a) = \sigma(b)\,\sigma(-a)\,(1 - e^{a - b}),$$

    which has no difference of nearly equal numbers, so that no second formula is needed far from
    the location (Salimans et al., 2017, equation 2, whose code needs one).

    Args:
        location: (...), mu, in pixels.
        scale: (...), s > 0, in pixels; the deviation before rounding is $\pi s/\sqrt3$.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, location: Tensor, scale: Tensor) -> None:
        self.location, self.scale = broadcast_all(location, scale)
        super().__init__(self.location.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of levels, nats; `value` holds multiples of 1/255."""
        up_to = logsigmoid((value + STEP / 2 - self.location) / self.scale)
        down_to = logsigmoid((self.location - value + STEP / 2) / self.scale)
        width = (-torch.expm1(-STEP / self.scale)).log()
        first, last = value < STEP / 2, value > 1 - STEP / 2
        inner = torch.where(first | last, 0.0, width)
        return inner + torch.where(last, 0.0, up_to) + torch.where(first, 0.0, down_to)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, multiples of 1/255 in [0, 1]."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            noise = torch.rand(shape, dtype=self.scale.dtype, device=self.scale.device).logit()
            level = ((self.location + self.scale * noise) / STEP).round()
            return level.clamp(0, LEVELS - 1) / (LEVELS - 1)

    @property
    def mean(self) -> Tensor:
        r"""Mean of the variable clamped to [0, 1] but not yet rounded, in closed form.

        $s\,[\mathrm{softplus}(\mu/s) - \mathrm{softplus}((\mu - 1)/s)]$. Rounding moves it by less
        than half a level, and by less than 1e-4 where s is a level or more; the exact sum takes 255
        sigmoids a pixel.
        """
        above = softplus(self.location / self.scale)
        return self.scale * (above - softplus((self.location - 1) / self.scale))


class DiscretisedLogistic(Likelihood):
    r"""Logistic around sigmoid(2a), integrated over levels; one scale s for all pixels.

    Salimans et al. (2017), equations 1 and 2, with one component. `mean` is the distribution's own
    (before rounding, see there), which the clamped tails keep from 0 and 1.

    Args:
        scale: s in units of pixels on [0, 1], > 0; the first value where it is learned.
        learned: Whether s is trained with the decoder.

    Raises:
        UsageError: If the scale is not positive.
    """

    def __init__(self, scale: float = 0.05, learned: bool = True) -> None:
        super().__init__()
        _check_scale(scale)
        self.log_scale = nn.Parameter(torch.tensor(scale).log(), requires_grad=learned)

    def forward(self, activation: Tensor) -> Distribution:
        """Probabilities of levels; see the base class for shapes."""
        return Independent(self._levels(activation), 3, validate_args=False)

    def mean(self, activation: Tensor) -> Tensor:
        """E[x | z], (B, C, H, W)."""
        return self._levels(activation).mean

    def check(self, pixels: Tensor) -> None:
        """Refuse pixels that are no multiples of 1/255."""
        _check_levels(pixels, "discretised_logistic")

    def _levels(self, activation: Tensor) -> Distribution:
        return _Levels(pixel_mean(widened(activation)), self.log_scale.exp())


class DiscretisedLogisticMixture(Likelihood):
    r"""Mixture of discretised logistics whose parameters are affine in the decoder's one value.

    With $m = \mathrm{sigmoid}(2a)$ at a pixel, component k has location $m + o_k(m)$, log scale
    $r_k(m)$ and logit $w_k(m)$, each of the form slope x m + intercept: a 1x1 convolution inside
    the likelihood, shared by all pixels, channels and images, 6K numbers in all. So a pixel that is
    surely black can have narrow noise and an unsure one several modes.

    It is *not* the likelihood of Salimans et al. (2017) in full, where the decoder predicts all 3K
    parameters of a pixel and lets colours depend on each other: that needs 10 K channels in place
    of 3, and a generator that the GAN does not have. Its published values are out of reach here.

    It begins as a mixture of scales around m, without slopes: equal components would stay equal.

    Args:
        components: K, >= 1.
        scale: The middle of the first scales, in units of pixels on [0, 1], > 0.

    Raises:
        UsageError: If a number is out of range.
    """

    def __init__(self, components: int = 10, scale: float = 0.05) -> None:
        super().__init__()
        _check_scale(scale)
        if components < 1:
            raise UsageError(f"likelihood.components must be 1 or more, not {components}")
        spread = torch.linspace(-1.5, 1.5, components)
        intercept = torch.zeros(3, components)
        intercept[2] = torch.tensor(scale).log() + spread - spread.mean()
        self.intercept = nn.Parameter(intercept)
        self.slope = nn.Parameter(torch.zeros_like(intercept))

    def forward(self, activation: Tensor) -> Distribution:
        """Probabilities of levels; see the base class for shapes."""
        return Independent(self._levels(activation), 3, validate_args=False)

    def mean(self, activation: Tensor) -> Tensor:
        """E[x | z], (B, C, H, W): the mean of the components' means."""
        return self._levels(activation).mean

    def check(self, pixels: Tensor) -> None:
        """Refuse pixels that are no multiples of 1/255."""
        _check_levels(pixels, "discretised_logistic_mixture")

    def _levels(self, activation: Tensor) -> Distribution:
        middle = pixel_mean(widened(activation))[..., None]
        offset, logits, log_scale = (
            slope * middle + intercept
            for slope, intercept in zip(self.slope, self.intercept, strict=True)
        )
        weights = Categorical(logits=logits, validate_args=False)
        levels = _Levels(middle + offset, log_scale.exp())
        return MixtureSameFamily(weights, levels, validate_args=False)


def _check_scale(scale: float) -> None:
    check_width("scale", scale)


def _check_levels(pixels: Tensor, name: str) -> None:
    level = pixels / STEP
    between = (level - level.round().clamp(0, LEVELS - 1)).abs() > 0.01
    if between.any():
        raise UsageError(
            f"likelihood={name} needs pixels that are bytes / {LEVELS - 1}, but "
            f"{100 * between.float().mean().item():.0f} % of those in this batch are not; use "
            "model/likelihood=gaussian, or data that is neither dequantised nor rescaled"
        )
