"""Which extractors measure images that nobody has chosen extractors for."""

from __future__ import annotations

from torch import Tensor

from gen_models.evaluation.extractors.classifiers import ShippedClassifier
from gen_models.evaluation.extractors.components import PixelComponents
from gen_models.evaluation.extractors.coordinates import Coordinates
from gen_models.evaluation.extractors.features import Extractor, Shape
from gen_models.evaluation.extractors.random import RandomConvolutions


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
    if ShippedClassifier.SHAPES.get(data) == tuple(shape):
        return ShippedClassifier(shape, data)
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
    if ShippedClassifier.SHAPES.get(data) == tuple(shape):
        return RandomConvolutions(shape, data)
    return PixelComponents(shape, data, train)
