"""Probabilistic principal component analysis: the linear VAE's optimum, in closed form."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, LowRankMultivariateNormal, MultivariateNormal

from gen_models.capabilities import BoundsLikelihood, ElboTerms, Infers, Observes, Reconstructs
from gen_models.data.ranges import Scaler
from gen_models.distributions import Gaussian
from gen_models.errors import UsageError
from gen_models.models.latent import LatentVariableModel, NetworkFactory, Shape
from gen_models.models.phase import Phase
from gen_models.models.state import goes_on
from gen_models.models.training_images import training_images


def maximum_likelihood(covariance: Tensor, latent_dim: int) -> tuple[Tensor, Tensor]:
    r"""$W = U_D (\Lambda_D - \sigma^2 I)^{1/2}$, sigma^2 the mean of the eigenvalues left out.

    Tipping & Bishop (1999), equations 7 and 8, with R = I. Of the two signs of an eigenvector it is
    the one whose entries have the larger sum.

    Args:
        covariance: (P, P), of the data, divided by N; float64.
        latent_dim: D < P.

    Returns:
        W (P, D), columns from the largest eigenvalue down, and sigma^2 (), in the covariance's
        units.
    """
    values, vectors = torch.linalg.eigh(covariance)
    variance = values[:-latent_dim].mean()
    leading, axes = values[-latent_dim:].flip(0), vectors[:, -latent_dim:].flip(1)
    axes = torch.where(axes.sum(0) < 0, -axes, axes)
    return axes * (leading - variance).clamp_min(0).sqrt(), variance


class PPCA(LatentVariableModel, Reconstructs, BoundsLikelihood, Infers, Observes):
    r"""$x = W z + \mu + \sigma \epsilon$, z and $\epsilon$ standard normal, at maximum likelihood.

    Tipping & Bishop (1999). W, mu and sigma are found from the covariance of all training images
    when training starts; one iteration later it ends, with the training images for `images_seen`.
    log p(x) and the posterior $N(M^{-1} W^T (x - \mu), \sigma^2 M^{-1})$, $M = W^T W + \sigma^2 I$,
    are exact, so that the bound is the log-likelihood itself. Means are not confined to [0, 1].

    It is the best that a VAE with a linear generator and one learned sigma can reach (Lucas et al.,
    2019): `model=vae model/generator=linear model.likelihood.link=identity
    model.likelihood.learned=true`.

    Args:
        shape: (C, H, W) of the images.
        latent_dim: D < P = C H W.
        generator: Factory of a linear generator, called with `latent_dim` and `shape`.
        scaler: Maps pixels in [0, 1] to scaled images; the model is one of pixels.

    Raises:
        UsageError: If D is not below P, or the generator is not linear.

    Example:
        >>> from gen_models.networks import MLPGenerator
        >>> model = PPCA(shape=(1, 2, 2), latent_dim=1, generator=partial(MLPGenerator, hidden=()))
        >>> model.infer(torch.rand(3, 1, 2, 2)).mean.shape
        torch.Size([3, 1])
    """

    def __init__(
        self,
        *,
        shape: Shape,
        latent_dim: int,
        generator: NetworkFactory,
        scaler: Scaler | None = None,
    ) -> None:
        arguments = locals()
        super().__init__(shape=shape, latent_dim=latent_dim, generator=generator, scaler=scaler)
        self.remember(arguments)
        if latent_dim >= math.prod(shape):
            raise UsageError(
                f"model.latent_dim={latent_dim} must be below the {math.prod(shape)} pixels of an "
                "image: PPCA takes its noise from the directions left out"
            )
        self.fitted_on = 0
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.constant_(self.linear.bias, 0.5)
        self.likelihood = Gaussian(learned=True, link="identity")

    @property
    def linear(self) -> nn.Linear:
        """The generator's one layer: weight W (P, D) and bias mu (P,), in pixels."""
        layers = [m for m in self.generator.modules() if list(m.parameters(recurse=False))]
        if len(layers) != 1 or not isinstance(layers[0], nn.Linear):
            raise UsageError("ppca is linear: choose model/generator=linear")
        return layers[0]

    def phases(self) -> list[Phase]:
        """One that only looks: the parameters are found by `fit`, not followed down a slope."""
        moved = list(self.parameters())
        return [Phase("ppca", self.loss, moved, partial(torch.optim.SGD, lr=0.0))]

    def on_fit_start(self) -> None:
        """Do nothing where a run goes on that has been fitted."""
        if goes_on(self.trainer) and self.iterations:
            self.trainer.should_stop = True

    def on_train_start(self) -> None:
        """Start the clock, and fit."""
        super().on_train_start()
        self.fit()

    def after_iteration(self, images: int) -> None:
        """End training: every training image has been seen, and nothing is left to learn."""
        self.images_seen = self.fitted_on
        self.trainer.should_stop = True

    @torch.no_grad()
    def fit(self) -> None:
        """Set W, mu and sigma to maximum likelihood on all training images.

        Raises:
            UsageError: If the training images vary in no more than D directions: sigma would be 0.
        """
        self.fitted_on = 0
        total = products = torch.zeros((), dtype=torch.float64)
        for x in training_images(self):
            flat = self._wide(self.scaler.inverse(x).flatten(1)) - 0.5  # sums of small numbers
            self.fitted_on += len(flat)
            total, products = total + flat.sum(0).cpu(), products + (flat.T @ flat).cpu()
        mean = total / self.fitted_on
        covariance = products / self.fitted_on - mean.outer(mean)
        weight, variance = maximum_likelihood(covariance, self.latent_dim)
        if not variance > 1e-12:
            raise UsageError(
                f"model.latent_dim={self.latent_dim}: the {self.fitted_on} training images vary in "
                "no more directions, so that no noise is left; take fewer latents or more images"
            )
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(mean + 0.5)
        self.likelihood.log_deviation.copy_(variance.log() / 2)

    def _wide(self, values: Tensor) -> Tensor:
        """In float64; on the CPU where the device has none."""
        return (values.cpu() if values.device.type == "mps" else values).double()

    def density(self) -> Distribution:
        """p(x) over flat pixels, event shape (P,), float64."""
        weight, mean, deviation = self._wide_parameters()
        noise = deviation.square().expand_as(mean)
        return LowRankMultivariateNormal(mean, weight, noise, validate_args=False)

    def _wide_parameters(self) -> tuple[Tensor, Tensor, Tensor]:
        parts = self.linear.weight, self.linear.bias, self.likelihood.log_deviation.exp()
        return self._wide(parts[0]), self._wide(parts[1]), self._wide(parts[2])

    def _posterior(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, D) and covariance (D, D) of p(z | x), float64."""
        weight, mean, deviation = self._wide_parameters()
        identity = torch.eye(self.latent_dim).to(weight)
        inverse = torch.linalg.inv(weight.T @ weight + deviation.square() * identity)
        centred = self._wide(pixels).flatten(1) - mean
        return centred @ weight @ inverse, deviation.square() * inverse

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        """Minus the mean log-likelihood of scaled images (B, C, H, W), nats per image."""
        flat = self._wide(self.scaler.inverse(x)).flatten(1)
        return {"loss": -self.density().log_prob(flat).mean()}

    def pixels(self, activation: Tensor) -> Tensor:
        """E[x | z], pixels (B, C, H, W), where values outside [0, 1] are left as they are."""
        return self.likelihood.mean(activation)

    @torch.no_grad()
    def reconstruct(self, pixels: Tensor) -> Tensor:
        """E[x | z] at the posterior's mean, pixels (B, C, H, W) of pixels (B, C, H, W)."""
        return self.decode(self.infer(pixels).mean)

    @torch.no_grad()
    def elbo_terms(self, pixels: Tensor) -> ElboTerms:
        """Both terms in closed form, (B,) each, nats; their difference is log p(x)."""
        weight, mean, deviation = self._wide_parameters()
        centre, covariance = self._posterior(pixels)
        error = self._wide(pixels).flatten(1) - mean - centre @ weight.T
        spread = (weight.T @ weight * covariance).sum()  # of W z, over all pixels
        size = error.shape[1] * (math.log(2 * math.pi) + 2 * deviation.log())
        scaled = (error.square().sum(1) + spread) / deviation.square()
        trace = covariance.trace() - self.latent_dim - covariance.logdet()
        return ElboTerms(-(scaled + size) / 2, (centre.square().sum(1) + trace) / 2)

    @torch.no_grad()
    def infer(self, pixels: Tensor) -> Distribution:
        """p(z | x) of pixels (B, C, H, W): batch shape (B,), event shape (D,).

        A normal with one covariance for all images; W as it is fitted makes it diagonal.
        """
        mean, covariance = self._posterior(pixels)
        scale = torch.linalg.cholesky(covariance).to(self.linear.weight)
        return MultivariateNormal(mean.to(scale), scale_tril=scale, validate_args=False)

    def observe(self, z: Tensor) -> Distribution:
        """p(x | z) = N(W z + mu, sigma^2 I) of latents (B, D), over pixels."""
        return self.likelihood(self.activation(z))
