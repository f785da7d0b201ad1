"""log p(x) of any decoder with an observation model: exact, or between bounds.

Estimators are functions of a `Joint`, which is a prior and an observation model, and of images.
"""

from gen_models.evaluation.likelihood.aggregate import Aggregate, active_units, aggregate
from gen_models.evaluation.likelihood.annealing import (
    Annealed,
    Annealing,
    annealed,
    bidirectional,
)
from gen_models.evaluation.likelihood.importance import (
    LogLikelihood,
    importance_weighted,
    kernel_density,
    prior_sampling,
    tuned_kernel_density,
)
from gen_models.evaluation.likelihood.joint import Joint, gaussian_observation
from gen_models.evaluation.likelihood.linear_gaussian import LinearGaussian
from gen_models.evaluation.likelihood.quadrature import quadrature

__all__ = [
    "Aggregate",
    "Annealed",
    "Annealing",
    "Joint",
    "LinearGaussian",
    "LogLikelihood",
    "active_units",
    "aggregate",
    "annealed",
    "bidirectional",
    "gaussian_observation",
    "importance_weighted",
    "kernel_density",
    "prior_sampling",
    "quadrature",
    "tuned_kernel_density",
]
