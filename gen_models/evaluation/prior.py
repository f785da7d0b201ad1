"""What a model's latents are drawn from, by its own word or by looking."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch.distributions import Distribution

from gen_models.distributions import StandardNormal
from gen_models.errors import UsageError
from gen_models.evaluation.evidence import Evidence


@torch.no_grad()
def prior_of(evidence: Evidence) -> Distribution:
    """What the model's `prior()` gives, event shape (D,); N(0, I) where there is no such thing.

    Raises:
        UsageError: If it is discrete in part, and nothing can be integrated or followed by
            gradients; or if there is none, and what `sample_prior` draws is not N(0, I) either.
    """
    named = named_prior(evidence)
    if named is not None:
        return continuous(named, evidence)
    z = evidence.model.sample_prior(10_000, evidence.generator()).cpu().double()
    # Six standard errors of means, of variances and of correlations.
    spread = z.square().sum(1).var() / (2 * z.shape[1])  # 1 where |z|^2 is chi squared
    odd = z.mean(0).abs().max() > 0.06 or (z.var(0) - 1).abs().max() > 0.085
    odd = odd or (z.T @ z / len(z)).fill_diagonal_(0).abs().max() > 0.06
    if odd or (z**4).mean(0).sub(3).abs().max() > 0.6 or (spread - 1).abs() > 0.3:
        raise UsageError(
            f"{type(evidence.model).__name__} does not draw latents from N(0, I); give it a method "
            "prior() that returns their torch distribution"
        )
    standard: Distribution = StandardNormal(z.shape[1]).to(evidence.device)()
    return standard


def named_prior(evidence: Evidence) -> Distribution | None:
    """What the model's `prior` is, or gives; None where that is no distribution."""
    prior = getattr(evidence.model, "prior", None)
    with suppress(TypeError):  # a stranger's prior may be another thing
        given = prior() if callable(prior) else prior
        if isinstance(given, Distribution):
            return given
    return None


def is_discrete(prior: Distribution) -> bool:
    """Whether it is discrete in part; no, where it does not say what it lives on."""
    with suppress(NotImplementedError):
        support: Any = prior.support
        return bool(support.is_discrete)
    return False


def continuous(prior: Distribution, evidence: Evidence) -> Distribution:
    """The prior, where it is a density.

    Raises:
        UsageError: If it is not.
    """
    if is_discrete(prior):
        raise UsageError(
            f"the prior of {type(evidence.model).__name__} is discrete in part: its latents "
            "have no density that a continuous posterior could be compared with"
        )
    return prior
