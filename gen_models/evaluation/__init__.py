"""The evaluation harness: images to features to numbers, for any model with the capabilities."""

from gen_models.evaluation.comparison import Comparison
from gen_models.evaluation.critic import Critic
from gen_models.evaluation.evaluate import evaluate
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.extractors import (
    Coordinates,
    Network,
    PixelComponents,
    RandomConvolutions,
    StackedClassifier,
    default_extractor,
    second_extractor,
)
from gen_models.evaluation.extractors.classifiers import ShippedClassifier
from gen_models.evaluation.extractors.features import Extractor, Features
from gen_models.evaluation.extractors.inception import Inception
from gen_models.evaluation.likelihood import Annealing
from gen_models.evaluation.measurements.aggregated_posterior import AggregatedPosterior
from gen_models.evaluation.measurements.annealing import AnnealedLikelihood
from gen_models.evaluation.measurements.conditional import ClassSamples
from gen_models.evaluation.measurements.coverage import (
    Classes,
    Neighbourhoods,
    PrecisionRecallCurve,
)
from gen_models.evaluation.measurements.distances import (
    FeatureDivergence,
    FrechetDistance,
    KernelDistance,
)
from gen_models.evaluation.measurements.exact import ExactLikelihood
from gen_models.evaluation.measurements.instrument import Instrument, Row
from gen_models.evaluation.measurements.judges import ClassifierTwoSample, IndependentCritic
from gen_models.evaluation.measurements.latent_space import PathLength
from gen_models.evaluation.measurements.likelihood import ImportanceWeightedLikelihood
from gen_models.evaluation.measurements.loose import KernelDensity, ObservationNoise, PriorSampling
from gen_models.evaluation.measurements.measurement import Measurement
from gen_models.evaluation.measurements.modes import MixtureModes, StackedModes
from gen_models.evaluation.measurements.originality import Copies, Memorisation, NearRepeats
from gen_models.evaluation.measurements.rate_distortion import EvidenceLowerBound, ProbeTerms
from gen_models.evaluation.measurements.reconstructions import Inversion, Reconstruction
from gen_models.evaluation.probe import Probe, ProbeEncoder
from gen_models.evaluation.statistics.estimate import Estimate

__all__ = [
    "AggregatedPosterior",
    "AnnealedLikelihood",
    "Annealing",
    "ClassSamples",
    "Classes",
    "ClassifierTwoSample",
    "Comparison",
    "Coordinates",
    "Copies",
    "Critic",
    "Estimate",
    "Evidence",
    "EvidenceLowerBound",
    "ExactLikelihood",
    "Extractor",
    "FeatureDivergence",
    "Features",
    "FrechetDistance",
    "ImportanceWeightedLikelihood",
    "Inception",
    "IndependentCritic",
    "Instrument",
    "Inversion",
    "KernelDensity",
    "KernelDistance",
    "Measurement",
    "Memorisation",
    "MixtureModes",
    "NearRepeats",
    "Neighbourhoods",
    "Network",
    "ObservationNoise",
    "PathLength",
    "PixelComponents",
    "PrecisionRecallCurve",
    "PriorSampling",
    "Probe",
    "ProbeEncoder",
    "ProbeTerms",
    "RandomConvolutions",
    "Reconstruction",
    "Row",
    "ShippedClassifier",
    "StackedClassifier",
    "StackedModes",
    "default_extractor",
    "evaluate",
    "second_extractor",
]
