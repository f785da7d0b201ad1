"""Priors that are mixtures: of Gaussians, and of the encoder's posteriors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal
from torch.nn.functional import softplus
from torch.nn.modules.batchnorm import _BatchNorm

from gen_models.distributions.priors import Prior
from gen_models.errors import UsageError


class _Mixture(MixtureSameFamily):
    """Torch's mixture, sampled without drawing from all components for each sample."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, (*sample_shape, D), components in random order."""
        with torch.no_grad():
            shape = torch.Size(sample_shape)
            index = self.mixture_distribution.sample(torch.Size([shape.numel()]))
            counts = index.bincount(minlength=self.mixture_distribution.logits.shape[-1])
            most = int(counts.max())
            drawn = self.component_distribution.sample(torch.Size([most])).transpose(0, 1)
            taken = torch.arange(most, device=index.device) < counts[:, None]
            z = drawn.new_empty(len(index), drawn.shape[-1])
            z[index.argsort()] = drawn[taken]  # the rows of `drawn[taken]` go by component
            return z.reshape(*shape, z.shape[-1])


class GaussianMixture(Prior):
    r"""$\sum_k \pi_k\,N(z; m_k, \mathrm{diag}(s_k^2))$ with weights, means and deviations learned.

    It starts near N(0, I): means drawn from N(0, I/2), deviations $1/\sqrt2$, equal weights.

    Args:
        latent_dim: D.
        components: K, >= 1.

    Raises:
        UsageError: If there is no component.
    """

    minimum = 1e-4

    def __init__(self, latent_dim: int, components: int = 10) -> None:
        super().__init__()
        _check_components(components)
        raw = math.log(math.expm1(math.sqrt(0.5) - self.minimum))
        self.mean = nn.Parameter(torch.randn(components, latent_dim) * math.sqrt(0.5))
        self.raw_deviation = nn.Parameter(torch.full((components, latent_dim), raw))
        self.logits = nn.Parameter(torch.zeros(components))

    def forward(self) -> Distribution:
        """The mixture over z, event shape (D,)."""
        deviation = softplus(self.raw_deviation) + self.minimum
        normal = Normal(self.mean, deviation, validate_args=False)
        weights = Categorical(logits=self.logits, validate_args=False)
        components = Independent(normal, 1, validate_args=False)
        return _Mixture(weights, components, validate_args=False)


class VampPrior(Prior):
    r"""$\frac1K \sum_k q(z \mid u_k)$: the posterior's own mixture over K learned images u_k.

    Variational mixture of posteriors (Tomczak & Welling, 2018, equation 9). The pseudo-inputs are
    sigmoids, pixels in [0, 1], and meet the encoder scaled as real images do. Gradients reach them
    and the encoder. Every call encodes all of them.

    The encoder belongs to the model: it is held here, but it is no sub-module, so that its
    parameters have one name each.

    Args:
        latent_dim: D.
        components: K, >= 1.

    Raises:
        UsageError: If there is no component; if the model has no encoder to bind, or one with
            batch norm.
    """

    def __init__(self, latent_dim: int, components: int = 500) -> None:
        super().__init__()
        _check_components(components)
        self.latent_dim = latent_dim
        self.components = components
        self.register_parameter("raw_pixels", None)
        # In a tuple, which `nn.Module` does not look into.
        self._bound: tuple[Callable[..., Any], ...] = ()

    def bind(
        self,
        encoder: Callable[[Tensor], Distribution],
        shape: tuple[int, ...],
        scaler: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Make the pseudo-inputs and remember who encodes them; see the base class."""
        parts = encoder.modules() if isinstance(encoder, nn.Module) else ()
        if any(isinstance(part, _BatchNorm) for part in parts):
            # Its running statistics would be those of images and pseudo-inputs in one, of neither.
            raise UsageError(
                "prior=vamp shows the encoder its pseudo-inputs beside the images, two populations "
                "of which batch norm keeps one mean: set model.trunk.norm=group or null"
            )
        self.raw_pixels = nn.Parameter(torch.randn(self.components, *shape))
        self._bound = (encoder,) if scaler is None else (scaler, encoder)

    @property
    def pseudo_inputs(self) -> Tensor:
        """Pixels (K, C, H, W) in [0, 1].

        Raises:
            UsageError: If there is no encoder.
        """
        if self.raw_pixels is None:
            raise UsageError(
                "prior=vamp is made of the encoder's posteriors and goes with a VAE alone: choose "
                "model/prior=standard_normal, gaussian_mixture or flow"
            )
        return self.raw_pixels.sigmoid()

    def forward(self) -> Distribution:
        """The mixture over z, event shape (D,)."""
        encoded: Any = self.pseudo_inputs
        for step in self._bound:
            encoded = step(encoded)
        assert encoded.event_shape == (self.latent_dim,)
        equal = self.raw_pixels.new_zeros(self.components)
        weights = Categorical(logits=equal, validate_args=False)
        return _Mixture(weights, encoded, validate_args=False)


def _check_components(count: int) -> None:
    if count < 1:
        raise UsageError(f"prior.components must be 1 or more, not {count}")
