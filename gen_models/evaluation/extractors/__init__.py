"""Extractors: images to features, by networks that are frozen and named by their content."""

from gen_models.evaluation.extractors.choice import default_extractor, second_extractor
from gen_models.evaluation.extractors.classifiers import ShippedClassifier
from gen_models.evaluation.extractors.components import PixelComponents
from gen_models.evaluation.extractors.coordinates import Coordinates
from gen_models.evaluation.extractors.features import Extractor, Features
from gen_models.evaluation.extractors.inception import Inception
from gen_models.evaluation.extractors.network import Network
from gen_models.evaluation.extractors.random import RandomConvolutions
from gen_models.evaluation.extractors.stacked import StackedClassifier

__all__ = [
    "Coordinates",
    "Extractor",
    "Features",
    "Inception",
    "Network",
    "PixelComponents",
    "RandomConvolutions",
    "ShippedClassifier",
    "StackedClassifier",
    "default_extractor",
    "second_extractor",
]
