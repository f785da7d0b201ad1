"""The evaluation harness: images to features to numbers, for any model with the capabilities."""

from gen_models.evaluation.distances import ClassDivergence, FrechetDistance
from gen_models.evaluation.evaluate import evaluate
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.features import (
    Extractor,
    Features,
    Inception,
    RandomConvolutions,
    ShippedClassifier,
    default_extractor,
)
from gen_models.evaluation.measurement import Measurement
from gen_models.evaluation.reconstructions import EvidenceLowerBound, Inversion, Reconstruction

__all__ = [
    "ClassDivergence",
    "Evidence",
    "EvidenceLowerBound",
    "Extractor",
    "Features",
    "FrechetDistance",
    "Inception",
    "Inversion",
    "Measurement",
    "RandomConvolutions",
    "Reconstruction",
    "ShippedClassifier",
    "default_extractor",
    "evaluate",
]
