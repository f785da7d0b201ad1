"""Losses as small objects: tensors in, one value per sample out; no networks, no optimisers."""

from gen_models.objectives.adversarial import (
    AdversarialObjective,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
)
from gen_models.objectives.elbo import NegativeELBO, elbo_terms

__all__ = [
    "AdversarialObjective",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NegativeELBO",
    "NonSaturating",
    "Relativistic",
    "elbo_terms",
]
