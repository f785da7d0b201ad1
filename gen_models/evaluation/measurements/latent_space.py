"""Measurements of the latent space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gen_models.capabilities import Decodes
from gen_models.errors import UsageError
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.measurement import Measurement, blank, filled
from gen_models.evaluation.path_length import path_length
from gen_models.evaluation.precision import full_precision
from gen_models.evaluation.prior import is_discrete, named_prior
from gen_models.records import Value


@dataclass(frozen=True)
class PathLength(Measurement):
    """How far features move along a path through the latent space (Karras et al., 2019).

    StyleGAN's perceptual path length with this harness's first extractor in the place of VGG, which
    makes it another number under another name.

    Attributes:
        paths: How many.
    """

    paths: int = 1000
    requires: ClassVar[type] = Decodes

    def __post_init__(self) -> None:
        if self.paths < 2:
            raise UsageError(f"path_length.paths must be 2 or more, not {self.paths}")

    def missing(self, evidence: Evidence) -> str | None:
        """Also needs an extractor that sees small steps, and latents that have small steps."""
        extractor = evidence.extractors[0]
        if extractor.rounds:
            return f"{extractor.name} rounds images to 8 bits, which most small steps do not change"
        prior = named_prior(evidence)
        if prior is not None and is_discrete(prior):
            model = type(evidence.model).__name__
            return f"the prior of {model} is discrete in part: no arc between its draws stays in it"
        return super().missing(evidence)

    def blanks(self, evidence: Evidence) -> list[Value]:
        """One value."""
        extractor = evidence.extractors[0]
        return [
            blank(
                f"path_length_{extractor.name}_{self.paths}",
                "Path length in features",
                "squared feature units per squared step",
                None,
                self.paths,
                f"{self.paths} places on great circles between prior draws, decoder means not "
                f"rounded, features {extractor.identity}",
                "latent space",
                extractor.name,
            )
        ]

    def measure(self, evidence: Evidence) -> list[Value]:
        """The mean over paths."""
        extractor, model = evidence.extractors[0], evidence.model

        def features(pixels: Tensor) -> Tensor:
            return extractor(pixels).features

        with torch.no_grad(), full_precision():
            value, error = path_length(
                model.decode,
                model.sample_prior,
                features,
                count=self.paths,
                generator=evidence.generator(),
                batch=evidence.batch,
            )
        [empty] = self.blanks(evidence)
        return [filled(empty, value, error, "95 %, normal, over paths")]
