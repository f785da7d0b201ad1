"""Priors that are fitted to latents that are there, and learn nothing by gradients."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    MixtureSameFamily,
    MultivariateNormal,
)

from gen_models.distributions.priors import Prior
from gen_models.errors import UsageError


class FittedMixture(Prior):
    r"""$\sum_k \pi_k\,N(z; m_k, L_k L_k^T)$ by expectation maximisation; N(0, I) until fitted.

    What gives an autoencoder a density to sample from, after the fact (Ghosh et al., 2020, section
    4). The fit is scikit-learn's, from its k-means start with a fixed seed: the same latents give
    the same mixture. 1e-6 is added to each variance.

    Args:
        latent_dim: D.
        components: K, >= 1.

    Raises:
        UsageError: If there is no component.
    """

    weights: Tensor
    means: Tensor
    scales: Tensor

    def __init__(self, latent_dim: int, components: int = 10) -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"prior.components must be 1 or more, not {components}")
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, latent_dim))
        self.register_buffer("scales", torch.eye(latent_dim).repeat(components, 1, 1))

    def forward(self) -> Distribution:
        """The mixture over z, event shape (D,)."""
        weights = Categorical(probs=self.weights, validate_args=False)
        gaussians = MultivariateNormal(self.means, scale_tril=self.scales, validate_args=False)
        return MixtureSameFamily(weights, gaussians, validate_args=False)

    def fit(self, z: Tensor) -> None:
        """Fit weights, means and covariances.

        Args:
            z: (N, D), N >= K, finite, of training images alone.

        Raises:
            UsageError: If there are fewer latents than components.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        components = len(self.weights)
        if len(z) < components:
            raise UsageError(f"prior.components={components} is more than the {len(z)} latents")
        mixture = GaussianMixture(components, random_state=0)
        with warnings.catch_warnings():  # a mixture short of its optimum is a mixture all the same
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(z.detach().cpu().double().numpy())
        scales = torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))
        self.weights.copy_(torch.from_numpy(mixture.weights_))
        self.means.copy_(torch.from_numpy(mixture.means_))
        self.scales.copy_(scales)
