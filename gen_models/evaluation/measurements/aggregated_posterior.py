"""What the encoder's posteriors say together, over the whole set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
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


def stacked(posteriors: list[Distribution]) -> Distribution:
    """One distribution of the batches of several.

    Raises:
        UsageError: If they are no Gaussians and there is more than one.
    """
    first = posteriors[0]
    if len(posteriors) == 1:
        return first
    mean = torch.cat([posterior.mean for posterior in posteriors])
    if isinstance(first, Independent) and isinstance(first.base_dist, Normal):
        deviation = torch.cat([posterior.stddev for posterior in posteriors])
        return Independent(Normal(mean, deviation, validate_args=False), 1, validate_args=False)
    if isinstance(first, MultivariateNormal):
        factor = torch.cat([p.scale_tril for p in posteriors])  # type: ignore[attr-defined]
        return MultivariateNormal(mean, scale_tril=factor, validate_args=False)
    raise UsageError(
        "aggregated posteriors of flows and hierarchies are measured on one batch: set "
        f"evaluation.measurements.aggregated_posterior.images={len(first.mean)} or less"
    )
