"""Samples of a class: are they of that class, and are they as its real images are?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from gen_models.capabilities import SamplesClasses
from gen_models.errors import UsageError
from gen_models.evaluation.contract import take_in
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.extractors.features import Features, extract, gather
from gen_models.evaluation.measurements.distances import BY_INFLUENCE, SQUARE
from gen_models.evaluation.measurements.measurement import Measurement, blank, filled, of_few
from gen_models.evaluation.rows import chosen
from gen_models.evaluation.statistics.estimate import Estimate, share_estimate
from gen_models.evaluation.statistics.frechet import Moments, frechet_distance, frechet_estimate
from gen_models.evaluation.view import View
from gen_models.records import Anchor, Value

OVER_SAMPLES = "95 %, binomial, over samples"


@dataclass(frozen=True)
class ClassSamples(Measurement):
    """As many samples of each class as there are, named by the data set's own classifier.

    The accuracy of that classifier on samples (as GAN-test: Shmelkov et al., 2018), on average and
    for the class that comes out worst; and the Fréchet distance within each class, on average
    (Miyato & Koyama, 2018, section 5), on the first classifier's features.
    """

    requires: ClassVar[type] = SamplesClasses

    def missing(self, evidence: Evidence) -> str | None:
        """Also needs labels, and a classifier of them."""
        reason = super().missing(evidence)
        if reason is None and (evidence.real.labels is None or not view_of(evidence)[1]):
            return "there are no labels, or no classifier of them"
        return reason

    def blanks(self, evidence: Evidence) -> list[Value]:
        """Three values."""
        classes, each = counts(evidence)
        extractor = view_of(evidence)[0].extractor
        smaller = min(each, len(evidence.real.images) // classes)
        square = SQUARE + of_few(smaller, extractor.dimension)
        protocol = (
            f"{each} samples ({evidence.precision}) of each of {classes} classes against the "
            f"{len(evidence.real.images)} {evidence.split} images, features {extractor.identity}"
        )
        rows = [
            ("class_accuracy", "Samples named as asked", "share of samples", "higher", "fidelity"),
            ("class_worst", "The same, worst class", "share of its samples", "higher", "fidelity"),
            ("class_fid", "Fréchet distance within classes", square, "lower", "distance"),
        ]
        return [
            blank(
                f"{key}_{extractor.name}_{each}x{classes}_{evidence.split}",
                title,
                unit,
                better,
                each * classes,
                protocol,
                aspect,
                extractor.name,
            )
            for key, title, unit, better, aspect in rows
        ]

    def measure(self, evidence: Evidence) -> list[Value]:
        """Accuracies, whose floor is that on real images, and the distance."""
        classes, each = counts(evidence)
        if each < 2:
            raise UsageError(f"{evidence.samples} samples are fewer than 2 for each class")
        view, real = view_of(evidence)[0], labels_of(evidence.real.labels)
        asked = torch.arange(classes).repeat_interleave(each)
        fake = drawn(evidence, view, asked)
        blanks = self.blanks(evidence)
        shares = accuracies(fake, asked), accuracies(view.real, real)
        values = []
        for empty, now, known, chance in zip(blanks, *shares, (1 / classes, 0.0), strict=False):
            made = filled(empty, now.value, now.error, OVER_SAMPLES, (0, 1))
            floor = Anchor(known.value, f"{len(real)} {evidence.split} images")
            ceiling = Anchor(chance, "samples of one class, whatever is asked")
            values.append(replace(made, floor=floor, ceiling=ceiling))
        try:
            values.append(distance(blanks[2], view, evidence, fake.features.split(each)))
        except UsageError as error:  # of the distance: accuracies need no images of each class
            values.append(replace(blanks[2], reason=str(error)))
        return values


def view_of(evidence: Evidence) -> tuple[View, bool]:
    """The first extractor that names classes, and True; where none does the first, and False."""
    named = [view for view in evidence.views if view.extractor.classes]
    return [*named, *evidence.views][0], bool(named)


def counts(evidence: Evidence) -> tuple[int, int]:
    """How many classes the real images have, and how many samples there are for each."""
    labels = evidence.real.labels
    classes = 1 if labels is None else int(labels.max()) + 1
    return classes, evidence.samples // classes


def labels_of(labels: Tensor | None) -> Tensor:
    """Labels (N,) that are there, on the CPU."""
    assert labels is not None
    return labels.cpu()


def drawn(evidence: Evidence, view: View, labels: Tensor) -> Features:
    """Features of a sample of each label (N,).

    Raises:
        UsageError: If a sample is no image of the shape of the real ones, or not finite.
    """
    return gather(batches(evidence, view, labels), len(labels))


def batches(evidence: Evidence, view: View, labels: Tensor) -> Iterator[Features]:
    """The same, batch by batch."""
    generator = evidence.generator()
    for index, asked in enumerate(labels.split(evidence.batch)):
        made = evidence.model.sample_classes(asked.to(evidence.device), generator)
        images = take_in(made, evidence.stored, index * evidence.batch).images
        wanted = len(asked), *evidence.real.images.shape[1:]
        if images.shape != wanted:
            raise UsageError(f"asked for samples of shape {wanted}, got {tuple(images.shape)}")
        yield extract(view.extractor, images, evidence.device, evidence.batch)


def accuracies(features: Features, labels: Tensor) -> tuple[Estimate, Estimate]:
    """Mean of the classes' accuracies, and the lowest one, by the classifier's largest logit.

    Args:
        features: Of N images, with logits.
        labels: (N,), what they should be.
    """
    assert features.logits is not None
    hits = features.logits.argmax(1).cpu() == labels
    each = [share_estimate(hits[labels == label]) for label in labels.unique()]
    errors = math.hypot(*(share.error or 0.0 for share in each))
    mean = sum(share.value for share in each) / len(each)
    return Estimate(mean, errors / len(each)), min(each, key=lambda share: share.value)


def distance(empty: Value, view: View, evidence: Evidence, fakes: Iterable[Tensor]) -> Value:
    """The blank with the mean over classes of the distance of fakes (each, D) of a class.

    Floor: training images of the class. Ceiling: training images of any class, as of a model that
    does not heed the label; noise can lie nearer to a class than the other classes do.

    Raises:
        UsageError: If a class has fewer than two images.
    """
    classes, each = counts(evidence)
    real = by_class(view.real, labels_of(evidence.real.labels), classes)
    train = by_class(view.train, labels_of(evidence.train.labels), classes)
    moments = [Moments.of(part) for part in real]
    pairs = zip(moments, fakes, strict=True)
    found = [frechet_estimate(real=one, fake=fake) for one, fake in pairs]
    error = math.hypot(*(estimate.error or 0.0 for estimate in found)) / classes
    value = sum(estimate.value for estimate in found) / classes

    def anchor(others: list[Tensor], of: str) -> Anchor:
        fits = [Moments.of(other[:each]) for other in others]
        both = zip(moments, fits, strict=True)
        return Anchor(sum(frechet_distance(a, b) for a, b in both) / classes, of)

    anyone = chosen(view.train.features, each)
    return replace(
        filled(empty, value, error, BY_INFLUENCE),
        floor=anchor(train, "training images of the class"),
        ceiling=anchor([anyone] * classes, "training images of any class"),
    )


def by_class(features: Features, labels: Tensor, classes: int) -> list[Tensor]:
    """Features (n_k, D) of the images of each class k.

    Raises:
        UsageError: If there are fewer than two of a class.
    """
    parts = [features.features[(labels == k).to(features.features.device)] for k in range(classes)]
    few = [k for k, part in enumerate(parts) if len(part) < 2]
    if few:
        raise UsageError(f"class {few[0]} has fewer than two real images")
    return parts
