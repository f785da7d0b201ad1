"""Loose estimates of log p(x), for comparison, and the noise that decoders are read with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gen_models.capabilities import Decodes
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.likelihood import (
    Joint,
    LogLikelihood,
    prior_sampling,
    tuned_kernel_density,
)
from gen_models.evaluation.measurements.likelihood import (
    ASPECT,
    NATS,
    LikelihoodMeasurement,
    Weighted,
)
from gen_models.evaluation.measurements.measurement import (
    OVER_IMAGES,
    Measurement,
    blank,
    filled,
    mean_filled,
)
from gen_models.evaluation.observation import (
    DECODED,
    IMAGES,
    NOISES,
    missing_observation,
    words_of,
)
from gen_models.records import Value


@dataclass(frozen=True)
class PriorSampling(Weighted):
    """A loose bound on log p(x), by draws from the prior."""

    short: ClassVar[str] = "prior"
    title: ClassVar[str] = "log p(x), loose bound by prior draws"

    def source(self, evidence: Evidence) -> str:
        """The same for all models."""
        return "the prior"

    def estimate(
        self, evidence: Evidence, joint: Joint, pixels: Tensor, generator: torch.Generator
    ) -> LogLikelihood:
        """By draws from p(z)."""
        return prior_sampling(joint, pixels, self.draws, generator, DECODED)


@dataclass(frozen=True)
class KernelDensity(LikelihoodMeasurement):
    """Parzen windows on samples, their width chosen on validation: loose, and ranks models wrongly.

    Here because older papers print it (Breuleux et al., 2011; Theis et al., 2016, say why not).

    Attributes:
        samples: S.
    """

    samples: int = 10_000

    def missing(self, evidence: Evidence) -> str | None:
        """Needs validation images."""
        if not len(evidence.validation.images):
            return "the kernel's width is chosen on validation images: set data.validation above 0"
        return Measurement.missing(self, evidence)

    def blanks(self, evidence: Evidence) -> list[Value]:
        """One value."""
        count, split = len(self.chosen(evidence)), evidence.split
        protocol = (
            f"first {count} {split} images, Gaussian kernels on {self.samples} decoder means, "
            f"width the best of {len(NOISES)} on the first {IMAGES} validation images; densities "
            "of pixels in [0, 1]"
        )
        name = f"log_density_kernel{self.samples}_nats_{split}_{count}"
        title = "Kernel density of samples, loose"
        return [blank(name, title, NATS, "higher", count, protocol, ASPECT)]

    def measure(self, evidence: Evidence) -> list[Value]:
        """The mean over images."""
        generator, model = evidence.generator(), evidence.model
        sizes = [len(part) for part in torch.arange(self.samples).split(DECODED)]
        with torch.no_grad():
            samples = [model.decode(model.sample_prior(size, generator)) for size in sizes]
        pixels = torch.cat(list(self.parts(evidence)))
        held = torch.cat(list(evidence.batches(evidence.validation.images[:IMAGES])))
        values, _ = tuned_kernel_density(samples, pixels, held, NOISES)
        [empty] = self.blanks(evidence)
        return [mean_filled(empty, values.cpu())]


@dataclass(frozen=True)
class ObservationNoise(Measurement):
    """The deviation that `fitted_noise` reads the decoder with."""

    requires: ClassVar[type] = Decodes

    def missing(self, evidence: Evidence) -> str | None:
        """Needs the probe."""
        return missing_observation("fitted_noise", evidence)

    def blanks(self, evidence: Evidence) -> list[Value]:
        """One value."""
        held = min(IMAGES, len(evidence.validation.images))
        how = f"first {held} validation images; {words_of('fitted_noise', evidence)}"
        unit = "pixels in [0, 1], standard deviation"
        title = "Fitted observation noise"
        return [blank("observation_noise_validation", title, unit, None, held, how, ASPECT)]

    def measure(self, evidence: Evidence) -> list[Value]:
        """As it was fitted: a point of the grid has no error."""
        [empty] = self.blanks(evidence)
        return [filled(empty, evidence.noise, None, OVER_IMAGES)]
