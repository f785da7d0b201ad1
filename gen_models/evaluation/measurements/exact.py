"""What can be had exactly: log p(x) of small models, and how far they are from a known density."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.likelihood import Joint, gaussian_observation
from gen_models.evaluation.likelihood.exact import exact_log_likelihood, linear_gaussian
from gen_models.evaluation.measurements.likelihood import LikelihoodMeasurement
from gen_models.evaluation.measurements.measurement import mean_filled
from gen_models.evaluation.observation import joint_of
from gen_models.evaluation.precision import full_precision
from gen_models.evaluation.prior import prior_of
from gen_models.records import Anchor, Value


@dataclass(frozen=True)
class ExactLikelihood(LikelihoodMeasurement):
    r"""log p(x) in closed form or by quadrature, and $\mathrm{KL}(p_{data} \,\|\, p)$ with it.

    For models with one or two latents, and linear-Gaussian ones of any size. The divergence needs
    data whose density is known.

    Attributes:
        tolerance: Of the quadrature, nats an image.
        intervals: Most intervals of an axis of z; two latents decode their square.
    """

    tolerance: float = 1e-2
    intervals: int = 2048

    def missing(self, evidence: Evidence) -> str | None:
        """Also needs few latents, or a linear decoder."""
        reason = super().missing(evidence)
        if reason is not None:
            return reason
        if prior_of(evidence).event_shape[0] <= 2:
            return None
        # With any noise: fitting one takes a probe, and is not needed to see a line.
        own = self.observation == "own"
        observe = evidence.model.observe if own else gaussian_observation(evidence.model.decode, 1)
        if linear_gaussian(Joint(prior_of(evidence), observe)) is not None:
            return None
        return "exact for one or two latents, and for linear decoders with Gaussian noise, alone"

    def blanks(self, evidence: Evidence) -> list[Value]:
        """Exact log p(x), and the divergence where the data's density is known."""
        place, how = self.place(evidence), "closed form, or trapezoid rule over z"
        exact = self.blank(evidence, f"log_likelihood_exact_{place}", "log p(x), exact", how)
        if evidence.density is None:
            return [exact]
        how = f"mean of log p_data(x) - log p(x), {how}"
        name = f"divergence_from_data_{place}"
        return [exact, self.blank(evidence, name, "KL(data || model), exact", how, "lower")]

    def measure(self, evidence: Evidence) -> list[Value]:
        """Means over images; beside them what the data's own density gives."""
        joint = joint_of(self.observation, evidence)
        with full_precision():
            parts = [
                exact_log_likelihood(joint, pixels, self.tolerance, self.intervals).cpu()
                for pixels in self.parts(evidence)
            ]
        values = torch.cat(parts)
        exact, *divergence = self.blanks(evidence)
        if not divergence:
            return [mean_filled(exact, values)]
        best = torch.cat(list(self.best(evidence)))
        floor = Anchor(best.mean().item(), "the density that the data were drawn from")
        return [
            replace(mean_filled(exact, values), floor=floor),
            replace(mean_filled(divergence[0], best - values), floor=Anchor(0.0, floor.of)),
        ]

    def best(self, evidence: Evidence) -> Iterator[Tensor]:
        """Log densities of the data under their own law, nats."""
        assert evidence.density is not None
        for pixels in self.parts(evidence):
            yield evidence.density.log_prob(pixels.cpu().double())
