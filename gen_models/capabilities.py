"""What a model can do, as one-method protocols: all that evaluation may ask of it.

Models in this package inherit them by name; a stranger's model satisfies them by shape. Pixels are
float images in [0, 1], (B, C, H, W), whatever scaling the networks inside see.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution


class ElboTerms(NamedTuple):
    """The two terms of the evidence lower bound; ELBO = log_likelihood - rate.

    Attributes:
        log_likelihood: (B,), E_q[log p(x | z)], nats per image.
        rate: (B,), KL(q(z | x) || p(z)), nats per image.
    """

    log_likelihood: Tensor
    rate: Tensor


@runtime_checkable
class Samples(Protocol):
    """Draws images."""

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `count` images: pixels (count, C, H, W)."""
        ...


@runtime_checkable
class SamplesClasses(Protocol):
    """Draws images of the classes that it is asked for."""

    def sample_classes(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw an image of each label (B,) of the data's classes: pixels (B, C, H, W)."""
        ...


@runtime_checkable
class Decodes(Protocol):
    """Maps latents to images, differentiably, and can draw latents from its prior."""

    def decode(self, z: Tensor) -> Tensor:
        """Pixels (B, C, H, W) of latents z (B, D)."""
        ...

    def sample_prior(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents z ~ p(z): (count, D)."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """Encodes and decodes images in one pass (amortised reconstruction)."""

    def reconstruct(self, pixels: Tensor) -> Tensor:
        """Pixels (B, C, H, W) of the reconstructions of pixels (B, C, H, W)."""
        ...


@runtime_checkable
class BoundsLikelihood(Protocol):
    """Bounds log p(x) from below, term by term."""

    def elbo_terms(self, pixels: Tensor) -> ElboTerms:
        """The terms of the bound for each image, always at beta = 1."""
        ...


@runtime_checkable
class Infers(Protocol):
    """Has an approximate posterior of its own."""

    def infer(self, pixels: Tensor) -> Distribution:
        """q(z | x) of pixels (B, C, H, W): batch shape (B,), event shape (D,)."""
        ...


@runtime_checkable
class Observes(Protocol):
    """Has a likelihood of its own: says how pixels scatter around what a latent decodes to."""

    def observe(self, z: Tensor) -> Distribution:
        """p(x | z) of latents (B, D): batch shape (B,), event shape (C, H, W), over pixels."""
        ...


WITHOUT: dict[type, str] = {
    Samples: "draws no images",
    SamplesClasses: "draws no classes on request",
    Decodes: "decodes no latents",
    Reconstructs: "has no encoder",
    BoundsLikelihood: "has no bound on log p(x)",
    Infers: "has no posterior",
    Observes: "has no likelihood",
}


def lacking(model: object, capability: type) -> str:
    """Why what needs a capability does not apply to a model that is without it.

    >>> lacking(object(), Reconstructs)
    'object has no encoder (it does not satisfy Reconstructs)'
    """
    words = WITHOUT.get(capability, "cannot")
    return f"{type(model).__name__} {words} (it does not satisfy {capability.__name__})"
