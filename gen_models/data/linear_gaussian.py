"""Data from a linear-Gaussian model, about which everything has a closed form."""

from typing import Unpack

import torch
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal, TransformedDistribution
from torch.distributions.transforms import ReshapeTransform

from gen_models.data.draws import PARAMETER_STREAM, normal, uniform
from gen_models.data.images import ImageSet
from gen_models.data.splits import check_seed
from gen_models.data.toys import Toy, ToyOptions, as_images, at_least, positive

SPREAD = 0.15
"""Deviation that the latents give to each coordinate, in pixels."""


class LinearGaussianData(Toy):
    r"""$x = W z + b + \sigma \epsilon$, z and $\epsilon$ standard normal (Tipping & Bishop, 1999).

    Everything about it has a closed form: $x \sim N(b, W W^T + \sigma^2 I)$. Each row of W has norm
    0.15, and b lies in [0.45, 0.55], so that nearly all values are pixels in [0, 1] where sigma is
    small; none is clipped.

    Attributes:
        weight: W, (D, L), float64.
        bias: b, (D,), float64.
        deviation: sigma, pixels.
    """

    name = "linear_gaussian"

    def __init__(
        self,
        dimension: int = 20,
        latent_dim: int = 5,
        deviation: float = 0.05,
        weight_seed: int = 0,
        **options: Unpack[ToyOptions],
    ) -> None:
        """Choose the distribution.

        Args:
            dimension: D, coordinates of a point.
            latent_dim: L, latent variables; L < D leaves directions that hold noise alone.
            deviation: sigma, pixels, > 0.
            weight_seed: Decides W and b.
            **options: As in `Toy`.

        Raises:
            UsageError: If an option is outside its range.
        """
        super().__init__(**options)
        at_least(1, "dimension", dimension)
        self.numbers = at_least(1, "latent_dim", latent_dim) + dimension
        self.deviation = positive("deviation", deviation)
        seed = check_seed("weight_seed", weight_seed)
        rows = uniform(dimension, latent_dim + 1, seed, PARAMETER_STREAM)
        self.weight = SPREAD * torch.nn.functional.normalize(normal(rows[:, 1:]))
        self.bias = 0.45 + 0.1 * rows[:, 0]
        noise = torch.full_like(self.bias, self.deviation**2)
        flat = LowRankMultivariateNormal(self.bias, self.weight, noise)
        reshape = ReshapeTransform(torch.Size([dimension]), torch.Size([1, 1, dimension]))
        self.density = TransformedDistribution(flat, reshape)
        self.entropy = flat.entropy().item()

    def place(self, numbers: Tensor) -> ImageSet:
        """The first L numbers are z, the others epsilon."""
        z, noise = normal(numbers).split([self.weight.shape[1], self.weight.shape[0]], dim=1)
        return as_images(z @ self.weight.T + self.bias + self.deviation * noise)
