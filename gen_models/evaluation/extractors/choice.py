"""Which extractors measure images that nobody has chosen extractors for."""

from __future__ import annotations

from torch import Tensor

from gen_models.evaluation.extractors.classifiers import ShippedClassifier
from gen_models.evaluation.extractors.components import PixelComponents
from gen_models.evaluation.extractors.coordinates import Coordinates
from gen_models.evaluation.extractors.features import Extractor, Shape
from gen_models.evaluation.extractors.random import RandomConvolutions
from gen_models.evaluation.extractors.stacked import StackedClassifier


def default_extractor(shape: Shape, data: str, train: Tensor | None = None) -> Extractor:
    """The data set's own classifier where one is shipped, random convolutions otherwise.

    Data in floats are measured by their coordinates.

    Args:
        shape: (C, H, W) of the images to be seen.
        data: Name of the data set.
        train: Training images as stored, (N, C, H, W).
    """
    if train is not None and train.is_floating_point():
        return Coordinates(shape, data)
    if (shipped := shipped_for(shape, data)) is not None:
        kind = StackedClassifier if shipped.startswith("stacked_") else ShippedClassifier
        return kind(shape, shipped)
    return RandomConvolutions(shape, data)


def second_extractor(shape: Shape, data: str, train: Tensor | None = None) -> Extractor | None:
    """One of another kind than `default_extractor`, so that no single ruler decides.

    None for data in floats: their coordinates are no model of what matters, but all there is.

    Args:
        shape: (C, H, W) of the images to be seen.
        data: Name of the data set.
        train: Training images as stored, (N, C, H, W).
    """
    if train is not None and train.is_floating_point():
        return None
    if shipped_for(shape, data) is not None:
        return RandomConvolutions(shape, data)
    return PixelComponents(shape, data, train)


def shipped_for(shape: Shape, data: str) -> str | None:
    """The set whose classifier is shipped and sees these images; None for all others.

    Binarised images go to the classifier of the grey ones: it names 97.1 % of the binarised MNIST
    test digits where it names 99.0 % of the grey ones.
    """
    grey = data.split("_binarized_")[0]
    known = {**ShippedClassifier.SHAPES, "stacked_mnist": (3, 28, 28)}
    return grey if known.get(grey) == tuple(shape) else None
