"""What the encoder's posteriors say together, over the whole set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from gen_models.capabilities import Infers
from gen_models.errors import UsageError
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.likelihood import active_units, aggregate
from gen_models.evaluation.likelihood.numerics import seeded
from gen_models.evaluation.measurements.measurement import OVER_IMAGES, Measurement, blank, filled
from gen_models.evaluation.precision import full_precision
from gen_models.evaluation.prior import prior_of
from gen_models.records import Value

ASPECT = "latent space"
MOST = 1000
"""Posteriors without a closed form that are compared with one another."""


@dataclass(frozen=True)
class AggregatedPosterior(Measurement):
    r"""Active units, I(x; z) and KL(q(z) || p(z)) of the model's own posteriors, all of them.

    Attributes:
        images: At most so many, from the first on: the work grows with their square.
        draws: Of z for each image.
    """

    images: int = 10_000
    draws: int = 1
    requires: ClassVar[type] = Infers

    def __post_init__(self) -> None:
        for name in ("images", "draws"):
            if getattr(self, name) < 1:
                raise UsageError(f"aggregated_posterior.{name} must be 1 or more")

    def blanks(self, evidence: Evidence) -> list[Value]:
        """Active units, information and divergence."""
        count = min(self.images, len(evidence.real.images))
        end = f"{evidence.split}_{count}"
        protocol = (
            f"posteriors of the first {count} {evidence.split} images, {self.draws} draws of z "
            f"each; all {count} posteriors as q(z), so that I(x; z) <= log {count}"
        )
        rows = [
            (f"active_units_{end}", "Active units, Var E[z|x] > 0.01", "latents"),
            (f"information_nats_{end}", "Information I(x; z)", "nats per image"),
            (f"aggregate_divergence_nats_{end}", "KL(q(z) || p(z))", "nats"),
        ]
        return [blank(*row, None, count, protocol, ASPECT) for row in rows]

    def measure(self, evidence: Evidence) -> list[Value]:
        """The two parts of the mean rate, and the latents that carry something."""
        images = evidence.real.images[: self.images]
        posterior = stacked([evidence.model.infer(p) for p in evidence.batches(images)])
        with seeded(evidence.generator()), torch.no_grad():
            z = posterior.sample(torch.Size([self.draws]))
        with full_precision():
            parts = aggregate(posterior, prior_of(evidence), z)
        units, information, divergence = self.blanks(evidence)
        return [
            filled(units, active_units(posterior.mean), None, OVER_IMAGES),
            filled(information, *parts.information, OVER_IMAGES, (0.0, torch.inf)),
            filled(divergence, *parts.divergence, OVER_IMAGES),
        ]


class Stacked(Distribution):
    """Posteriors of several batches as those of one, for distributions that cannot be joined.

    Args:
        parts: Batch shapes (B_i,), event shape (D,) each.
    """

    def __init__(self, parts: list[Distribution]) -> None:
        self.parts = parts
        self.sizes = [part.batch_shape[0] for part in parts]
        shape = torch.Size([sum(self.sizes)])
        super().__init__(shape, parts[0].event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """(N, D)."""
        return torch.cat([part.mean for part in self.parts])

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """(..., N, D)."""
        return torch.cat([part.sample(torch.Size(sample_shape)) for part in self.parts], -2)

    def log_prob(self, z: Tensor) -> Tensor:
        """Of z (..., N, D), each by its own posterior, or of z (..., 1, D) by all: (..., N)."""
        each = z.shape[-2] == sum(self.sizes)
        pieces = z.split(self.sizes, -2) if each else [z] * len(self.parts)
        pairs = zip(self.parts, pieces, strict=True)
        return torch.cat([part.log_prob(piece) for part, piece in pairs], -1)


def stacked(posteriors: list[Distribution]) -> Distribution:
    """One distribution of the batches of several.

    Raises:
        UsageError: If they are no Gaussians and too many: all pairs would take hours.
    """
    first, count = posteriors[0], sum(part.batch_shape[0] for part in posteriors)
    mean = torch.cat([posterior.mean for posterior in posteriors])
    if isinstance(first, Independent) and isinstance(first.base_dist, Normal):
        deviation = torch.cat([posterior.stddev for posterior in posteriors])
        return Independent(Normal(mean, deviation, validate_args=False), 1, validate_args=False)
    if isinstance(first, MultivariateNormal):
        factor = torch.cat([p.scale_tril for p in posteriors])  # type: ignore[attr-defined]
        return MultivariateNormal(mean, scale_tril=factor, validate_args=False)
    if count > MOST:
        raise UsageError(
            f"all pairs of {count} posteriors of flows or hierarchies take hours: set "
            f"evaluation.measurements.aggregated_posterior.images={MOST} or less"
        )
    return Stacked(posteriors)
