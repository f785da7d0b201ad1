r"""KL(real || fake) from below, by a classifier that tells real features from those of samples."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.estimate import Estimate

FOLDS = 5
# Of the logistic regression, weakest trust in the data first. At the first the critic is nearly
# constant, so that equal distributions come out as 0 and not as what it has learnt by heart.
STRENGTHS = 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0


def density_ratio_divergence(
    *, real: Tensor, fake: Tensor, dimensions: int = 16, seed: int = 0
) -> Estimate:
    r"""A lower bound of $\mathrm{KL}(p_{real} \,\|\, p_{fake})$ of features, in nats.

    $\mathbb{E}_{real} T - \log \mathbb{E}_{fake} e^T$ with T from `log_ratios` (Donsker & Varadhan,
    1983), which no T can lift above the divergence in expectation, whatever its classifier is
    worth: a T learnt on other images only lowers it. The plug-in $\mathbb{E}_{real} T$ has no such
    side. Two ends to know: the logarithm of a mean over N samples adds up to half the squared
    error, and no bound from N samples can be trusted above log N (McAllester & Stratos, 2020).
    Features are reduced first, which can only lose divergence: read it as a bracket, with the
    nearest-neighbour estimate as the other.

    Args:
        real: (N, D) features.
        fake: (M, D) features.
        dimensions: Left by `reduced`.
        seed: Of the folds.

    Returns:
        Nats; for equal distributions 0 or a little below (0.02 at 500 images). The error is that of
        the mean of e^T over the samples, the classifier held fixed like the real images: against
        redraws 0.75 to 1.1 of the true one for a thousand images or more, a half where there is
        next to nothing to find.

    Raises:
        UsageError: If a set has fewer than 20 images, the dimensions differ, a feature is not
            finite, or all are the same.
    """
    real_ratio, fake_ratio = log_ratios(real=real, fake=fake, dimensions=dimensions, seed=seed)
    weights = fake_ratio.softmax(0) * len(fake_ratio)
    log_mean = fake_ratio.logsumexp(0) - math.log(len(fake_ratio))
    error = weights.std() / len(weights) ** 0.5
    return Estimate((real_ratio.mean() - log_mean).item(), error.item())


def log_ratios(
    *, real: Tensor, fake: Tensor, dimensions: int = 16, seed: int = 0
) -> tuple[Tensor, Tensor]:
    r"""$T \approx \log p_{real} / p_{fake}$ at each image, by a classifier that has not seen it.

    Logistic regression on all products of two features, which is the true form for Gaussians; five
    folds, each judged by the classifier of the other four; the penalty is the one that did best on
    a quarter of those.

    Args:
        real: (N, D) features, N >= 20.
        fake: (M, D) features, M >= 20.
        dimensions: Left by `reduced`.
        seed: Of the folds.

    Returns:
        (N,) at the real images and (M,) at the samples, nats, float64, on the CPU.

    Raises:
        UsageError: As `density_ratio_divergence`.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import StratifiedKFold

    if min(len(real), len(fake)) < 4 * FOLDS:
        raise UsageError(f"a density ratio needs {4 * FOLDS} images or more on both sides")
    x = torch.cat(reduced(real=real, fake=fake, dimensions=dimensions)).numpy()
    is_real = (torch.arange(len(x)) < len(real)).numpy()
    ratio = torch.empty(len(x), dtype=torch.float64)
    for fit, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, is_real):
        with warnings.catch_warnings():
            # Any classifier gives a valid bound, one that has not converged too.
            warnings.simplefilter("ignore", ConvergenceWarning)
            critic = _classifier(seed).fit(x[fit], is_real[fit])
        ratio[held_out] = torch.from_numpy(critic.decision_function(x[held_out]))
    # The classifier's odds hold those of the two counts.
    ratio -= math.log(len(real) / len(fake))
    return ratio[: len(real)], ratio[len(real) :]


def reduced(*, real: Tensor, fake: Tensor, dimensions: int = 16) -> tuple[Tensor, Tensor]:
    """Features as the leading principal components of both sets together, each of variance 1.

    KL does not change under an invertible affine map and cannot grow under any other, so that what
    is measured on the reduced features is at most what is there. Components of the real features
    alone would be the directions in which these images happen to vary more than new ones: equal
    distributions in 64 dimensions would then differ.

    Args:
        real: (N, D) features.
        fake: (M, D) features.
        dimensions: The most that are kept; fewer where the features span fewer.

    Returns:
        (N, K) and (M, K), K <= dimensions, float64, on the CPU; the sign of a component is
        arbitrary.

    Raises:
        UsageError: If the dimensions differ, a feature is not finite, or all are the same.
    """
    if real.shape[1:] != fake.shape[1:]:
        raise UsageError(
            "real and fake features must have the same dimension, not "
            f"{tuple(real.shape[1:])} and {tuple(fake.shape[1:])}"
        )
    union = torch.cat([real.detach().cpu().double(), fake.detach().cpu().double()])
    if not union.isfinite().all():
        index = int((~union.isfinite()).any(1).nonzero()[0])
        side, row = ("real", index) if index < len(real) else ("fake", index - len(real))
        raise UsageError(f"{side} image {row} has features that are not finite")
    union -= union.mean(0)
    variances, axes = torch.linalg.eigh(union.T @ union / (len(union) - 1))
    # Dead units and sets smaller than their dimension leave variances that are rounding alone.
    rank = min(dimensions, int((variances > 1e-10 * variances[-1]).sum()))
    if not rank:
        raise UsageError("all features are the same; there is nothing to compare")
    components = union @ (axes / variances.clamp_min(0).sqrt()).flip(1)[:, :rank]
    return components[: len(real)], components[len(real) :]


def _classifier(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    quadratic = PolynomialFeatures(2, include_bias=False)
    # Its Newton steps cost N times the square of the 152 products: seconds, not minutes.
    regression = LogisticRegression(solver="newton-cholesky")
    chain = make_pipeline(StandardScaler(), regression)
    split = StratifiedShuffleSplit(1, test_size=0.25, random_state=seed)
    choice = {"logisticregression__C": STRENGTHS}
    search = GridSearchCV(chain, choice, scoring="neg_log_loss", cv=split)
    # Products of an image's own features are the same in each fit: outside of the search, once.
    return make_pipeline(quadratic, search)
