r"""What an autoencoder pays beside its reconstruction error, so that its latents can be sampled.

Each is a frozen dataclass that is called with what an autoencoder made of a batch, and gives one
value an image or one for the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from gen_models.objectives.aggregate import SCALES, maximum_mean_discrepancy
from gen_models.objectives.schedules import check_not_negative


@dataclass(frozen=True, eq=False)
class Encoded:
    """A batch of latents, and the generator that decodes them.

    Attributes:
        z: (B, D).
        decode: Maps latents (B, D) to pixels (B, C, H, W).
        parameters: The generator's.
        prior: p(z), event shape (D,).
    """

    z: Tensor
    decode: Callable[[Tensor], Tensor]
    parameters: Sequence[Tensor]
    prior: Distribution


class Regulariser(Protocol):
    """What an autoencoder asks of its regularisers."""

    def __call__(self, encoded: Encoded) -> Tensor:
        """The cost, (B,) or (), in the unit of half squared pixels."""
        ...


@dataclass(frozen=True)
class LatentNorm:
    r"""$\tfrac\beta2 |z|^2$: keeps latents from running away (Ghosh et al., 2020, equation 10).

    Attributes:
        weight: beta, >= 0.
    """

    weight: float

    def __post_init__(self) -> None:
        check_not_negative("regularisers.weight", self.weight)

    def __call__(self, encoded: Encoded) -> Tensor:
        """(B,)."""
        return self.weight / 2 * encoded.z.square().sum(1)


@dataclass(frozen=True)
class WeightDecay:
    r"""$\lambda\,|\theta|^2$ over all parameters of the generator (RAE-L2: Ghosh et al., 2020).

    Attributes:
        weight: lambda, >= 0.
    """

    weight: float

    def __post_init__(self) -> None:
        check_not_negative("regularisers.weight", self.weight)

    def __call__(self, encoded: Encoded) -> Tensor:
        """()."""
        squares = [p.square().sum() for p in encoded.parameters]
        return self.weight * torch.stack(squares).sum()


@dataclass(frozen=True)
class JacobianPenalty:
    r"""$\lambda\,|\partial D(z) / \partial z|_F^2$ at the latents (RAE-GP: Ghosh et al., 2020).

    The squared norm of the Jacobian J is the mean of $|J^T v|^2$ over signs v, one a pixel
    (Hutchinson, 1990); one v an image is drawn at a time. In training a generator with batch
    normalisation decodes a batch as one: J is then the batch's.

    Attributes:
        weight: lambda, >= 0.
    """

    weight: float

    def __post_init__(self) -> None:
        check_not_negative("regularisers.weight", self.weight)

    def __call__(self, encoded: Encoded) -> Tensor:
        """(B,), without bias; differentiable in the generator's parameters and in z."""
        training = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            z = encoded.z if encoded.z.requires_grad else encoded.z.clone().requires_grad_()
            pixels = encoded.decode(z)
            signs = torch.randint_like(pixels, 2) * 2 - 1
            (slope,) = torch.autograd.grad(pixels, z, signs, create_graph=training)
        return self.weight * slope.square().sum(1)


@dataclass(frozen=True)
class PriorDiscrepancy:
    r"""$\lambda\,MMD^2(q(z), p(z))$: the latents of a batch against draws of the prior.

    WAE-MMD (Tolstikhin et al., 2018, algorithm 2), without bias: it can be negative.

    Attributes:
        weight: lambda, >= 0.
        scales: Of the kernel; see `maximum_mean_discrepancy`.
    """

    weight: float
    scales: Sequence[float] = SCALES

    def __post_init__(self) -> None:
        check_not_negative("regularisers.weight", self.weight)

    def __call__(self, encoded: Encoded) -> Tensor:
        """()."""
        other = encoded.prior.sample(encoded.z.shape[:1])
        return self.weight * maximum_mean_discrepancy(encoded.z, other, self.scales)
