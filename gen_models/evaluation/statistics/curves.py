"""Precision and recall as a curve: how much of each distribution the other can explain."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.rows import shuffle


class Curve(NamedTuple):
    """A precision-recall curve, from high recall to high precision.

    Attributes:
        precision: (A,), in [0, 1]: of the samples' mass.
        recall: (A,), in [0, 1]: of the real mass.
    """

    precision: Tensor
    recall: Tensor


def precision_recall_curve(
    *, real: Tensor, fake: Tensor, clusters: int = 20, runs: int = 10, seed: int = 0
) -> Curve:
    """Precision and recall of distributions (PRD; Sajjadi et al., 2018, algorithm 1).

    k-means on the union of both sets of features makes two histograms over clusters; the curve is
    theirs. As in the authors' code it is the mean over ten clusterings, here each from a seed of
    its own. Equal counts are required, or the larger set would place the clusters: a random subset
    of it, drawn with the seed, is used.

    Args:
        real: (N, D) features.
        fake: (M, D) features.
        clusters: Of the k-means.
        runs: Clusterings.
        seed: Of the subset and of the clusterings.

    Returns:
        1001 points, float64, on the CPU.

    Raises:
        UsageError: If there are fewer images than clusters, the dimensions differ, or a feature is
            not finite.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    count = min(len(real), len(fake))
    if count < clusters:
        raise UsageError(f"{clusters} clusters need {clusters} images or more, not {count}")
    if real.shape[1:] != fake.shape[1:]:
        raise UsageError(
            "real and fake features must have the same dimension, not "
            f"{tuple(real.shape[1:])} and {tuple(fake.shape[1:])}"
        )
    union = torch.cat([_subset(features, count, seed) for features in (real, fake)])
    if not union.isfinite().all():
        raise UsageError("a precision-recall curve needs features that are finite")
    curves = []
    for run in range(runs):
        means = KMeans(clusters, n_init=1, random_state=seed * runs + run)
        with warnings.catch_warnings():
            # Fewer distinct images than clusters leave clusters empty, which costs nothing.
            warnings.simplefilter("ignore", ConvergenceWarning)
            labels = torch.from_numpy(means.fit_predict(union.numpy())).long()
        p, q = (torch.bincount(part, minlength=clusters) for part in labels.split(count))
        curve = curve_of_shares(real=p.double() / count, fake=q.double() / count)
        curves.append(torch.stack(curve))
    return Curve(*torch.stack(curves).mean(0))


def curve_of_shares(*, real: Tensor, fake: Tensor, angles: int = 1001) -> Curve:
    r"""The curve of two discrete distributions: $\alpha(\lambda), \alpha(\lambda) / \lambda$.

    Precision is $\alpha(\lambda) = \sum_k \min(\lambda p_k, q_k)$ with p real and q fake, recall
    $\sum_k \min(p_k, q_k / \lambda)$, at slopes $\lambda = \tan\phi$ with angles evenly spread
    over (0, pi/2) (Sajjadi et al., 2018, equations 2 and 3). The greatest precision is the share of
    samples in places where there are real images; the greatest recall the reverse.

    Args:
        real: (K,) shares.
        fake: (K,) shares.
        angles: A, the points of the curve.

    Returns:
        (A,) each, float64.

    Example:
        >>> curve = curve_of_shares(real=torch.tensor([1.0, 0.0]), fake=torch.tensor([0.5, 0.5]))
        >>> curve.precision.max().item(), curve.recall.max().item()
        (0.5, 1.0)
    """
    edge = 1e-10
    angle = torch.linspace(edge, math.pi / 2 - edge, angles, dtype=torch.float64)
    slope = angle.tan()[:, None]
    p, q = real.cpu().double(), fake.cpu().double()
    precision = torch.minimum(slope * p, q).sum(1)
    recall = torch.minimum(p, q / slope).sum(1)
    return Curve(precision.clamp(0, 1), recall.clamp(0, 1))


def f_scores(curve: Curve) -> tuple[float, float]:
    r"""$(F_8, F_{1/8})$ of a curve, the greatest $F_\beta$ on it: recall first, precision first.

    $F_\beta = (1 + \beta^2) \frac{PR}{\beta^2 P + R}$; the pair stands for the whole curve
    (Sajjadi et al., 2018, section 4).

    Returns:
        F_8, in which recall weighs most, and F_1/8, in which precision does; both in [0, 1].
    """
    p, r = curve

    def best(beta: float) -> float:
        # Where both are 0 the score is 0, not 0 / 0.
        weighted = (beta**2 * p + r).clamp_min(torch.finfo(torch.float64).tiny)
        return ((1 + beta**2) * p * r / weighted).max().item()

    return best(8), best(1 / 8)


def _subset(features: Tensor, count: int, seed: int) -> Tensor:
    """Rows (count, D) at random, float32, on the CPU; in order where there are no more."""
    x = features.detach().cpu().float()
    if len(x) == count:
        return x
    return x[shuffle(len(x), seed)[:count]]
