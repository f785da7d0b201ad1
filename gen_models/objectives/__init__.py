"""Losses as small objects: tensors in, one value per sample out; no networks, no optimisers."""

from gen_models.objectives.adversarial import (
    AdversarialObjective,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
)
from gen_models.objectives.elbo import Bound, Capacity, Draws, NegativeELBO, draw
from gen_models.objectives.importance import ImportanceWeighted
from gen_models.objectives.schedules import Cyclic, Linear

__all__ = [
    "AdversarialObjective",
    "Bound",
    "Capacity",
    "Cyclic",
    "Draws",
    "Hinge",
    "ImportanceWeighted",
    "LeastSquares",
    "Linear",
    "Minimax",
    "NegativeELBO",
    "NonSaturating",
    "Relativistic",
    "draw",
]
