"""Losses as small objects: tensors in, one value per sample out; no networks, no optimisers."""

from gen_models.objectives.adversarial import (
    AdversarialObjective,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
)
from gen_models.objectives.aggregate import MaximumMeanDiscrepancy, TotalCorrelation
from gen_models.objectives.elbo import Bound, Capacity, Draws, NegativeELBO, draw
from gen_models.objectives.importance import ImportanceWeighted
from gen_models.objectives.regularisers import (
    GradientPenalty,
    LatentNorm,
    PriorDiscrepancy,
    WeightDecay,
)
from gen_models.objectives.schedules import Cosine, Cyclic, Linear

__all__ = [
    "AdversarialObjective",
    "Bound",
    "Capacity",
    "Cosine",
    "Cyclic",
    "Draws",
    "GradientPenalty",
    "Hinge",
    "ImportanceWeighted",
    "LatentNorm",
    "LeastSquares",
    "Linear",
    "MaximumMeanDiscrepancy",
    "Minimax",
    "NegativeELBO",
    "NonSaturating",
    "PriorDiscrepancy",
    "Relativistic",
    "TotalCorrelation",
    "WeightDecay",
    "draw",
]
