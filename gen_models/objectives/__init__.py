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
from gen_models.objectives.penalties import R1, Critic, Penalty
from gen_models.objectives.regularisers import (
    JacobianPenalty,
    LatentNorm,
    PriorDiscrepancy,
    WeightDecay,
)
from gen_models.objectives.schedules import Cosine, Cyclic, Linear

__all__ = [
    "R1",
    "AdversarialObjective",
    "Bound",
    "Capacity",
    "Cosine",
    "Critic",
    "Cyclic",
    "Draws",
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
    "Relativistic",
    "TotalCorrelation",
    "WeightDecay",
    "draw",
]
