"""The identity of the bound, log p(x) = ELBO + KL(q(z|x) || p(z|x)), watched during training."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from gen_models.capabilities import Infers, Observes
from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation.likelihood import Joint, LinearGaussian
from gen_models.evaluation.likelihood.exact import exact_log_likelihood, linear_gaussian
from gen_models.evaluation.likelihood.numerics import double, seeded
from gen_models.models.base import GenerativeModule
from gen_models.modes import evaluating

CURVES = "log p(x)", "ELBO", "KL(q || p(z|x))", "ELBO + KL"


class ElboGap(pl.Callback):
    r"""Adds log p(x), ELBO and $\mathrm{KL}(q(z|x) \,\|\, p(z|x))$ to a run's curves.

    Each is had in its own way, so that their sum is a check and no definition. A linear-Gaussian
    model with a Gaussian q has closed forms for all three. Where a model has one or two latents,
    log p(x) is a quadrature, and ELBO and divergence are means over separate draws.

    Args:
        images: The first so many of the validation images.
        draws: Of z for each image, where there is no closed form.
    """

    def __init__(self, images: int = 500, draws: int = 64) -> None:
        self.images = images
        self.draws = draws

    def on_fit_start(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Refuse models that have no posterior or no likelihood."""
        if not (isinstance(module, Infers) and isinstance(module, Observes)):
            raise UsageError(
                f"callbacks.elbo_gap: {type(module).__name__} has no posterior and likelihood of "
                "its own, and so no ELBO"
            )

    def on_validation_end(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Measure, in nats per image."""
        if trainer.sanity_checking:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        pixels = to_pixels(data.validation.images[: self.images].to(module.device))
        with evaluating(module), torch.no_grad():
            values = elbo_gap(module, pixels, self.draws)
        module.write(dict(zip((f"{name}/identity_nats" for name in CURVES), values, strict=True)))


def elbo_gap(model: Any, pixels: Tensor, draws: int) -> tuple[float, float, float, float]:
    """Mean log p(x), ELBO, divergence, and the sum of the last two, in nats per image.

    Args:
        model: In evaluation mode, with `prior`, `observe` and `infer`.
        pixels: (B, C, H, W).
        draws: Of z for each image, where there is no closed form.

    Raises:
        UsageError: If log p(x) cannot be had exactly.
    """
    joint = Joint(model.prior(), model.observe)
    posterior = model.infer(pixels)
    linear = linear_gaussian(joint)
    if linear is not None and (gaussian := as_gaussian(posterior)) is not None:
        log_p = linear.evidence.log_prob(double(pixels.flatten(1)))
        elbo, divergence = closed(linear, pixels, gaussian)
    else:
        log_p = exact_log_likelihood(joint, pixels)
        with seeded(torch.Generator(pixels.device).manual_seed(0)):
            elbo, other = (weights(joint, posterior, pixels, draws) for _ in range(2))
        divergence = log_p - other
    means = [values.mean().item() for values in (log_p, elbo, divergence)]
    return means[0], means[1], means[2], means[1] + means[2]


def closed(
    linear: LinearGaussian, pixels: Tensor, posterior: MultivariateNormal
) -> tuple[Tensor, Tensor]:
    """ELBO and divergence (B,) of Gaussians."""
    x, mean, factor = pixels.flatten(1), double(posterior.mean), double(posterior.scale_tril)
    return linear.elbo(x, mean, factor), linear.divergence(x, mean, factor)


def weights(joint: Joint, posterior: Distribution, pixels: Tensor, draws: int) -> Tensor:
    """Mean log p(x, z) - log q(z | x) over draws, (B,)."""
    z = posterior.sample(torch.Size([draws]))
    return (joint.log_joint(z, pixels) - double(posterior.log_prob(z))).mean(0)


def as_gaussian(posterior: Distribution) -> MultivariateNormal | None:
    """A diagonal or full Gaussian with its factor; None for any other."""
    if isinstance(posterior, MultivariateNormal):
        return posterior
    if isinstance(posterior, Independent) and isinstance(posterior.base_dist, Normal):
        factor = posterior.stddev.diag_embed()
        return MultivariateNormal(posterior.mean, scale_tril=factor, validate_args=False)
    return None
