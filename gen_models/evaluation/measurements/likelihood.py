"""Log p(x) of any decoder: what its measurements share, and importance weighting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gen_models.capabilities import Decodes, Infers
from gen_models.errors import UsageError
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.likelihood import (
    Joint,
    LogLikelihood,
    importance_weighted,
)
from gen_models.evaluation.measurements.measurement import (
    Measurement,
    blank,
    mean_filled,
)
from gen_models.evaluation.observation import (
    DECODED,
    check_observation,
    encoder_of,
    joint_of,
    missing_observation,
    source_of,
    words_of,
)
from gen_models.evaluation.precision import full_precision
from gen_models.records import Value

ASPECT = "likelihood"
NATS = "nats per image"


@dataclass(frozen=True)
class LikelihoodMeasurement(Measurement):
    """What measurements of log p(x) share: a joint density, and some images.

    Attributes:
        observation: `own`, the model's likelihood, or `fitted_noise`, Gaussian noise of a deviation
            that is fitted on validation: the same reading for every family.
        images: How many of the split, from its first on; None: all.

    Raises:
        UsageError: If the observation is none of these or there are no images.
    """

    observation: str = "fitted_noise"
    images: int | None = None
    requires: ClassVar[type] = Decodes

    def __post_init__(self) -> None:
        check_observation(self.observation)
        if self.images is not None and self.images < 1:
            raise UsageError(f"images={self.images} must be 1 or more, or null for all")

    def missing(self, evidence: Evidence) -> str | None:
        """Why the measurement does not apply; None if it does."""
        return missing_observation(self.observation, evidence)

    def chosen(self, evidence: Evidence) -> Tensor:
        """The stored images that are measured."""
        return evidence.real.images[: self.images]

    def place(self, evidence: Evidence) -> str:
        """End of names: reading, split and number of images."""
        return f"{self.observation}_nats_{evidence.split}_{len(self.chosen(evidence))}"

    def blank(
        self, evidence: Evidence, name: str, title: str, how: str, better: str | None = "higher"
    ) -> Value:
        """A value in nats per image, not measured yet."""
        count = len(self.chosen(evidence))
        images = f"first {count} {evidence.split} images"
        protocol = f"{images}, {how}; {words_of(self.observation, evidence)}"
        whose = "own likelihood" if self.observation == "own" else "fitted noise"
        return blank(name, f"{title}, {whose}", NATS, better, count, protocol, ASPECT)

    def parts(self, evidence: Evidence) -> Iterator[Tensor]:
        """Pixels of the chosen images, a batch at a time."""
        return evidence.batches(self.chosen(evidence))


@dataclass(frozen=True)
class Weighted(LikelihoodMeasurement):
    """A bound by K weighted draws, and how many of them count.

    Attributes:
        draws: K, for each image.
    """

    draws: int = 1000
    short: ClassVar[str]
    title: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.draws < 1:
            raise UsageError(f"draws={self.draws} must be 1 or more")

    def source(self, evidence: Evidence) -> str:
        """What is drawn from, in words."""
        raise AssertionError("leaves say what")

    def estimate(
        self, evidence: Evidence, joint: Joint, pixels: Tensor, generator: torch.Generator
    ) -> LogLikelihood:
        """The estimate for a batch."""
        raise AssertionError("leaves say how")

    def blanks(self, evidence: Evidence) -> list[Value]:
        """The bound, and the effective number of draws."""
        place = self.place(evidence)
        how = f"{self.draws} draws from {self.source(evidence)} for each"
        bound = self.blank(
            evidence, f"log_likelihood_{self.short}{self.draws}_{place}", self.title, how
        )
        effective = blank(
            f"effective_draws_{self.short}{self.draws}_{place.replace('_nats', '')}",
            f"Effective draws of {self.draws}, {bound.title}",
            "draws",
            None,
            len(self.chosen(evidence)),
            bound.protocol,
            ASPECT,
            restates=bound.title,
        )
        return [bound, effective]

    def measure(self, evidence: Evidence) -> list[Value]:
        r"""Means over images; the effective number of draws is $(\sum w)^2 / \sum w^2$."""
        generator, joint = evidence.generator(), joint_of(self.observation, evidence)
        with full_precision():
            made = [self.estimate(evidence, joint, p, generator) for p in self.parts(evidence)]
        columns = zip(*made, strict=True)
        rows = zip(self.blanks(evidence), columns, strict=True)
        return [mean_filled(empty, torch.cat(column).cpu()) for empty, column in rows]


@dataclass(frozen=True)
class ImportanceWeightedLikelihood(Weighted):
    """The importance weighted bound on log p(x) (Burda et al., 2016, equation 8)."""

    short: ClassVar[str] = "iw"
    title: ClassVar[str] = "log p(x), importance weighted bound"

    def missing(self, evidence: Evidence) -> str | None:
        """An own likelihood needs an encoder, too: the model's or the probe's."""
        reason = super().missing(evidence)
        if reason is None and self.observation == "own" and evidence.probe is None:
            able = isinstance(evidence.model, Infers)
            return None if able else "the model has no encoder, and evaluation.probe is null"
        return reason

    def source(self, evidence: Evidence) -> str:
        """The model's encoder, or the probe."""
        return source_of(self.observation, evidence)

    def estimate(
        self, evidence: Evidence, joint: Joint, pixels: Tensor, generator: torch.Generator
    ) -> LogLikelihood:
        """By draws from q(z | x)."""
        posterior = encoder_of(self.observation, evidence)(pixels)
        return importance_weighted(joint, posterior, pixels, self.draws, generator, DECODED)
