"""Heads of q(z | x): from the features of a trunk to a distribution over latents."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import (
    AffineTransform,
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    register_kl,
)
from torch.nn.functional import softplus

from gen_models.distributions.flows import Flow, FlowDistribution
from gen_models.distributions.precision import widened


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
            Batch shape (B,), event shape (D,), float32 or wider.
        """
        mean, raw = widened(features).chunk(2, dim=-1)
        normal = Normal(mean, softplus(raw) + self.minimum, validate_args=False)
        return Independent(normal, 1, validate_args=False)


class _FullGaussian(MultivariateNormal):
    """Torch's, whose draws autocast would multiply in half precision."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Reparameterised draws, (*sample_shape, B, D)."""
        with torch.autocast(self.loc.device.type, enabled=False):
            return super().rsample(torch.Size(sample_shape))


class FullCovariance(nn.Module):
    r"""Head of q(z | x) = N(mu, L L^T), so that $z = \mu + L\epsilon$.

    L is predicted itself, free below its diagonal, softplus(s) + 1e-4 on it: nothing is ever
    factorised, and with zeros below the diagonal it is `DiagonalGaussian`.

    Args:
        latent_dim: D.
    """

    minimum = 1e-4

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.features = latent_dim + latent_dim * (latent_dim + 1) // 2

    def forward(self, features: Tensor) -> Distribution:
        """The posterior of each image.

        Args:
            features: (B, 2D + D(D-1)/2): mu, s, and L below its diagonal, row by row.

        Returns:
            Batch shape (B,), event shape (D,), float32 or wider.
        """
        size = self.latent_dim
        mean, raw, lower = widened(features).tensor_split([size, 2 * size], dim=-1)
        row, column = torch.tril_indices(size, size, offset=-1, device=features.device)
        factor = torch.diag_embed(softplus(raw) + self.minimum)
        factor[..., row, column] = lower
        return _FullGaussian(mean, scale_tril=factor, validate_args=False)


@register_kl(MultivariateNormal, Independent)  # type: ignore[untyped-decorator]
def _full_against_diagonal(q: MultivariateNormal, p: Independent[Any]) -> Tensor:
    """`information.gaussian_divergence_full` for diagonal p: nothing is solved, nothing checked."""
    inner = p.base_dist
    if not isinstance(inner, Normal) or p.reinterpreted_batch_ndims != 1:
        raise NotImplementedError
    factor = q.scale_tril / inner.scale[..., None]
    squares = factor.square().sum((-2, -1)) + ((q.loc - inner.loc) / inner.scale).square().sum(-1)
    log_determinant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return 0.5 * (squares - q.event_shape[0]) - log_determinant


class FlowPosterior(nn.Module):
    r"""Head of q(z | x) by a flow: $z = \mu + \sigma \odot T(\epsilon; h)$.

    mu, sigma and the context h are the features. The maps act on the standard noise, where splines
    have their range; with T the identity, as it is before training, q is `DiagonalGaussian`. For
    affine autoregressive and planar maps it is the same family as maps behind N(mu, sigma^2)
    (Rezende & Mohamed, 2015, section 4; Kingma et al., 2016), since a diagonal affine map can be
    drawn through them.

    One pass draws z and gives log q(z); the density of other z takes D passes for each of the
    autoregressive maps. The divergence from the prior has no closed form: it is averaged over
    draws.

    `mean` and `stddev` of the distribution are estimates of the true moments over 512 fixed points
    (exact at the start), so that the reconstruction of an image is E[x | z] at the mean of z, as it
    is for the Gaussians, and always the same.

    Args:
        latent_dim: D.
        kind: "inverse_autoregressive", "spline" or "planar": see `flows.Flow`.
        transforms: How many maps.
        hidden: Width of the two hidden layers of an autoregressive map's network.
        context: Features of h; 0: the maps are the same for all images.

    Raises:
        UsageError: If there is no such kind, or a number is out of range.
    """

    minimum = 1e-4

    def __init__(
        self,
        latent_dim: int,
        kind: str = "inverse_autoregressive",
        transforms: int = 2,
        hidden: int = 128,
        context: int = 32,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.features = 2 * latent_dim + context
        self.flow = Flow(latent_dim, kind, transforms, hidden, context, "posterior")

    def forward(self, features: Tensor) -> Distribution:
        """The posterior of each image.

        Args:
            features: (B, 2D + context), a trunk's output: mu beside s beside h.

        Returns:
            Batch shape (B,), event shape (D,), float32 or wider.
        """
        size = self.latent_dim
        mean, raw, context = widened(features).tensor_split([size, 2 * size], dim=-1)
        scale = softplus(raw) + self.minimum
        last = AffineTransform(mean, scale, event_dim=1)
        transform = self.flow(context if context.shape[-1] else None, last)
        noise = Normal(torch.zeros_like(mean), torch.ones_like(mean), validate_args=False)
        base = Independent(noise, 1, validate_args=False)
        return FlowDistribution(base, transform, self.flow)
