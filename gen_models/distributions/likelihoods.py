"""Likelihoods p(x | z): what a likelihood is, and those with a density on all of the real line."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.distributions import Laplace as LaplaceDistribution

from gen_models.distributions.normal import Spherical
from gen_models.distributions.precision import widened
from gen_models.errors import UsageError


def pixel_mean(activation: Tensor) -> Tensor:
    r"""Pixels of a generator's output: $(\tanh a + 1)/2 = \mathrm{sigmoid}(2a)$.

    Args:
        activation: (B, C, H, W), pre-activations a.

    Returns:
        (B, C, H, W), pixels in [0, 1].
    """
    return torch.sigmoid(2 * activation)


def _identity(activation: Tensor) -> Tensor:
    return activation


def check_width(name: str, value: float) -> None:
    """Refuse a width at which densities leave the range of float32, or that is none.

    Raises:
        UsageError: If it is not between 1e-6 and 1e6 pixels.
    """
    if not 1e-6 <= value <= 1e6:
        raise UsageError(f"likelihood.{name}={value} must lie between 1e-6 and 1e6")


LINKS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": pixel_mean, "identity": _identity}


class Likelihood(nn.Module):
    """p(x | z) over pixels in [0, 1], given the generator's pre-activations. Leaves say which."""

    def bind(self, shape: tuple[int, ...]) -> None:
        """Learn the size of the images: called once by the model, before it is trained or loaded.

        Args:
            shape: (C, H, W).
        """

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
        link: How the activation gives the mean: "sigmoid", or "identity" for data outside [0, 1]
            (mean = a, unbounded: linear-Gaussian models, points of the plane).

    Raises:
        UsageError: If the deviation is not positive or there is no such link.
    """

    def __init__(
        self, deviation: float = 0.3, learned: bool = False, link: str = "sigmoid"
    ) -> None:
        super().__init__()
        check_width("deviation", deviation)
        if link not in LINKS:
            raise UsageError(f"likelihood.link must be {' or '.join(LINKS)}, not {link}")
        self.link = link
        self.log_deviation = nn.Parameter(torch.tensor(deviation).log(), requires_grad=learned)

    def forward(self, activation: Tensor) -> Distribution:
        """Gaussian over pixels; see the base class for shapes."""
        return Spherical(self.mean(widened(activation)), self.log_deviation.exp(), 3)

    def mean(self, activation: Tensor) -> Tensor:
        """E[x | z], (B, C, H, W), by the link: in [0, 1] with the sigmoid alone."""
        return LINKS[self.link](activation)


class GaussianPerPixel(Likelihood):
    r"""$N(x_j; \mathrm{sigmoid}(2a_j), \sigma_j^2)$: a learned sigma for each pixel j.

    The sigmas are parameters of the likelihood and the same for all images. They are *not*
    predicted by the decoder, which would need twice the channels: the generator of VAE and GAN has
    to stay one class of one size.

    At the optimum sigma_j^2 is the mean squared error at pixel j. Where that is 0 (the border of
    MNIST) the density has no bound: a per-pixel variance takes log p(x) from about 1000 nats to
    more than 2200 (Wu et al., 2017), so that densities of continuous pixels compare at a stated
    sigma alone. `minimum` is the bound, and a part of every number that this likelihood gives.

    Args:
        deviation: The first value of every sigma, in pixels on [0, 1], > `minimum`.
        minimum: What no sigma falls below, > 0.

    Raises:
        UsageError: If the numbers are not in this order; if the model does not bind the likelihood.
    """

    def __init__(self, deviation: float = 0.3, minimum: float = 0.01) -> None:
        super().__init__()
        check_width("deviation", deviation)
        check_width("minimum", minimum)
        if not deviation > minimum:
            raise UsageError(
                f"likelihood.deviation={deviation} must be above minimum={minimum}, which must be "
                "above 0"
            )
        self.first = deviation
        self.minimum = minimum
        self.register_parameter("log_excess", None)

    def bind(self, shape: tuple[int, ...]) -> None:
        """Make the sigmas of images of a shape (C, H, W)."""
        self.log_excess = nn.Parameter(torch.full(shape, self.first - self.minimum).log())

    @property
    def deviation(self) -> Tensor:
        """The sigmas, (C, H, W), in pixels."""
        if self.log_excess is None:
            raise UsageError(
                "likelihood=gaussian_per_pixel has to know the image size: the model must call "
                "likelihood.bind(shape)"
            )
        return self.minimum + self.log_excess.exp()

    def forward(self, activation: Tensor) -> Distribution:
        """Gaussian over pixels; see the base class for shapes."""
        normal = Normal(pixel_mean(widened(activation)), self.deviation, validate_args=False)
        return Independent(normal, 3, validate_args=False)


class Laplace(Likelihood):
    r"""$\frac{1}{2b} \exp(-|x - \mathrm{sigmoid}(2a)| / b)$ with one b for all pixels.

    The generator's output is the median, which is the mean too. At the optimum the learned b is the
    mean absolute error per pixel.

    Args:
        scale: b in units of pixels on [0, 1], > 0; the first value where it is learned. The
            deviation is $\sqrt2\,b$.
        learned: Whether b is trained with the decoder.

    Raises:
        UsageError: If the scale is not positive.
    """

    def __init__(self, scale: float = 0.2, learned: bool = False) -> None:
        super().__init__()
        check_width("scale", scale)
        self.log_scale = nn.Parameter(torch.tensor(scale).log(), requires_grad=learned)

    def forward(self, activation: Tensor) -> Distribution:
        """Laplace over pixels; see the base class for shapes."""
        location = pixel_mean(widened(activation))
        pixels = LaplaceDistribution(location, self.log_scale.exp(), validate_args=False)
        return Independent(pixels, 3, validate_args=False)
