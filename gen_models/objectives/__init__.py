"""Losses as small objects: tensors in, one value per sample out; no networks, no optimisers."""

from gen_models.objectives.adversarial import (
    AdversarialObjective,
    BoundaryEquilibrium,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    Wasserstein,
)
from gen_models.objectives.aggregate import MaximumMeanDiscrepancy, TotalCorrelation
from gen_models.objectives.conditioning import AuxiliaryClassifier, Conditioning, Projection
from gen_models.objectives.elbo import Bound, Capacity, Draws, NegativeELBO, draw
from gen_models.objectives.importance import ImportanceWeighted
from gen_models.objectives.penalties import DRAGAN, R1, R2, Critic, GradientPenalty, Penalty
from gen_models.objectives.regularisers import (
    JacobianPenalty,
    LatentNorm,
    PriorDiscrepancy,
    WeightDecay,
)
from gen_models.objectives.schedules import Cosine, Cyclic, Linear

__all__ = [
    "DRAGAN",
    "R1",
    "R2",
    "AdversarialObjective",
    "AuxiliaryClassifier",
    "Bound",
    "BoundaryEquilibrium",
    "Capacity",
    "Conditioning",
    "Cosine",
    "Critic",
    "Cyclic",
    "Draws",
    "GradientPenalty",
    "Hinge",
    "ImportanceWeighted",
    "JacobianPenalty",
    "LatentNorm",
    "LeastSquares",
    "Linear",
    "MaximumMeanDiscrepancy",
    "Minimax",
    "NegativeELBO",
    "NonSaturating",
    "Penalty",
    "PriorDiscrepancy",
    "Projection",
    "Relativistic",
    "TotalCorrelation",
    "Wasserstein",
    "WeightDecay",
    "draw",
]
