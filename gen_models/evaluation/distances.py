"""Measurements of samples against real images, by features and classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from gen_models.capabilities import Samples
from gen_models.errors import UsageError
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.frechet import Moments, frechet_distance, frechet_standard_error
from gen_models.evaluation.measurement import Measurement, blank, filled
from gen_models.information import divergence
from gen_models.records import Anchor, Value


@dataclass(frozen=True)
class FrechetDistance(Measurement):
    """FID's distance on the extractor's features, samples against real images."""

    requires: ClassVar[type] = Samples

    def blanks(self, evidence: Evidence) -> list[Value]:
        """One value."""
        count = evidence.samples
        protocol = (
            f"{count} samples (decoder means, 8 bits) against the {len(evidence.real.images)} "
            f"{evidence.split} images, features {evidence.extractor.identity}"
        )
        name = f"fid_{evidence.extractor.name}_{count}_{evidence.split}"
        title = "Fréchet distance"
        return [blank(name, title, "squared feature units", "lower", count, protocol)]

    def measure(self, evidence: Evidence) -> list[Value]:
        """The distance, its floor (training images) and its ceiling (uniform noise)."""
        real = Moments.of(evidence.real_features.features)
        fake = evidence.fake_features.features
        value = frechet_distance(real, Moments.of(fake))
        floor = frechet_distance(real, Moments.of(evidence.floor_features.features))
        ceiling = frechet_distance(real, Moments.of(evidence.ceiling_features.features))
        [empty] = self.blanks(evidence)
        error = frechet_standard_error(real, fake)
        result = filled(empty, value, error, "95 %, influence function, over samples")
        images = len(evidence.floor_features.features)
        return [
            replace(
                result,
                floor=Anchor(floor, f"{images} training images"),
                ceiling=Anchor(ceiling, "uniform noise"),
            )
        ]


@dataclass(frozen=True)
class ClassDivergence(Measurement):
    """KL of the samples' classes, named by a classifier, to the classes of the real images."""

    requires: ClassVar[type] = Samples

    def missing(self, evidence: Evidence) -> str | None:
        """Also needs labels, and a classifier of them."""
        if evidence.real.labels is None or not evidence.extractor.classes:
            return f"{evidence.extractor.name} has no classifier of labelled classes"
        return super().missing(evidence)

    def blanks(self, evidence: Evidence) -> list[Value]:
        """One value."""
        count = evidence.samples
        protocol = (
            f"classes of {count} samples by {evidence.extractor.identity} against the labels of "
            f"the {len(evidence.real.images)} {evidence.split} images"
        )
        name = f"class_kl_nats_{evidence.extractor.name}_{count}_{evidence.split}"
        return [blank(name, "KL of class histograms", "nats", "lower", count, protocol)]

    def measure(self, evidence: Evidence) -> list[Value]:
        """The divergence of the shares of the classes."""
        assert evidence.real.labels is not None
        logits = evidence.fake_features.logits
        floor_logits = evidence.floor_features.logits
        assert logits is not None
        assert floor_logits is not None
        classes = logits.shape[1]
        labels = evidence.real.labels.cpu()
        real = histogram(labels, classes)
        if (real == 0).any():
            raise UsageError("a class has no real image, so that the divergence is infinite")
        fake = histogram(logits.argmax(1), classes)
        floor = divergence(histogram(floor_logits.argmax(1), classes), real)
        # Jeffreys' posterior of the shares: the delta method has no width where a class is missing.
        posterior = torch.distributions.Dirichlet(fake * evidence.samples + 0.5)
        drawn = divergence(posterior.sample((4000,)), real)
        value = divergence(fake, real)
        ends = drawn.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
        [empty] = self.blanks(evidence)
        images = len(floor_logits)
        return [
            replace(
                filled(empty, value.item(), None, ""),
                low=torch.minimum(ends[0], value).item(),
                high=torch.maximum(ends[1], value).item(),
                interval="95 %, Jeffreys' posterior, over samples",
                floor=Anchor(floor.item(), f"{images} training images"),
                ceiling=Anchor(-real.log().max().item(), "samples of the commonest class alone"),
            )
        ]


def histogram(labels: Tensor, classes: int) -> Tensor:
    """Shares (K,) of the classes among labels (N,), float64, on the CPU."""
    counts = torch.bincount(labels.cpu(), minlength=classes).double()
    return counts / counts.sum()
