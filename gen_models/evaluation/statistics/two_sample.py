"""Can a classifier tell samples from real images? Accuracy on images that it has not seen."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.estimate import Estimate, share_estimate
from gen_models.evaluation.statistics.points import check


def linear(count: int) -> Any:
    """Logistic regression on standardised features, scikit-learn's defaults."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))


def neighbours(count: int) -> Any:
    """The majority of the sqrt(count) nearest of `count` images, made odd."""
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(math.isqrt(count) | 1, algorithm="brute")


def told_apart(
    *, real: Tensor, fake: Tensor, kind: Any = linear, most: int = 5000, seed: int = 0
) -> Estimate:
    r"""Accuracy of a classifier two-sample test (Lopez-Paz & Oquab, 2017, section 3).

    Equal numbers of both sides, half of each to learn from and half to be judged. Where both have
    one law it is 1/2 on average; at best it is $\tfrac12 + \tfrac12 TV(p, q)$, which no classifier
    exceeds but by chance: it bounds the total variation from below. The error is binomial.

    Args:
        real: Features (N, D).
        fake: Features (M, D).
        kind: Makes the classifier of how many images it learns from: `linear` or `neighbours`.
        most: Images of either side at most.
        seed: Of the choice of images and of the halves.

    Returns:
        A share in [0, 1].

    Raises:
        UsageError: If a side has fewer than 4 images, dimensions differ or a feature is not finite.
    """
    check(real=real, fake=fake)
    half = min(len(real), len(fake), most) // 2
    if half < 2:
        raise UsageError(
            f"{len(real)} real images and {len(fake)} samples are too few to learn from"
        )
    generator = torch.Generator().manual_seed(seed)
    sides = [
        side[_some(len(side), 2 * half, generator).to(side.device)].cpu().double()
        for side in (real, fake)
    ]
    learned, judged = (torch.cat([side[part::2] for side in sides]).numpy() for part in (0, 1))
    labels = torch.arange(2).repeat_interleave(half).numpy()
    answers = kind(2 * half).fit(learned, labels).predict(judged)
    return share_estimate(torch.from_numpy(answers == labels))


def _some(count: int, most: int, generator: torch.Generator) -> Tensor:
    """So many of the numbers below `count`, at random."""
    return torch.randperm(count, generator=generator)[:most]
