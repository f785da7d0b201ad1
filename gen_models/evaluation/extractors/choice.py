"""Which extractors measure images that nobody has chosen extractors for."""

from __future__ import annotations

from torch import Tensor

from gen_models.evaluation.extractors.classifiers import ShippedClassifier
from gen_models.evaluation.extractors.components import PixelComponents
from gen_models.evaluation.extractors.features import Extractor, Shape
from gen_models.evaluation.extractors.random import RandomConvolutions


def default_extractor(shape: Shape, data: str, train: Tensor | None = None) -> Extractor:
    """The data set's own classifier where one is shipped, random convolutions otherwise."""
    if ShippedClassifier.SHAPES.get(data) == tuple(shape):
        return ShippedClassifier(shape, data)
    return RandomConvolutions(shape, data)


def second_extractor(shape: Shape, data: str, train: Tensor | None = None) -> Extractor:
    """One of another kind than `default_extractor`, so that no single ruler decides."""
    if ShippedClassifier.SHAPES.get(data) == tuple(shape):
        return RandomConvolutions(shape, data)
    return PixelComponents(shape, data, train)
