r"""Are the fakes copies? Distances to training images, held against those of new real images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.rows import each, joined
from gen_models.evaluation.statistics.estimate import Estimate, mean_estimate, share_estimate
from gen_models.evaluation.statistics.neighbours import jackknife
from gen_models.evaluation.statistics.pairs import blocks_of
from gen_models.evaluation.statistics.points import BLOCK, Points, check, nearest, slices

CELLS = 5
"""Regions of the training images in which distances are compared."""

LEAST = 20
"""Images of either kind that a region must hold to count."""


@torch.no_grad()
def nearest_training(*, train: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest training image of each fake, in blocks.

    Args:
        train: Features (N, D).
        fake: Features (M, D).

    Returns:
        Distances (M,), float64, in feature units, exactly 0 for copies; and indices (M,) into the
        training images.

    Raises:
        UsageError: If a set is empty, dimensions differ or a feature is not finite.
    """
    x, y = Points.of(real=train, fake=fake)
    found = nearest(y, x, 1)
    return found.squares[:, 0].sqrt() * x.step, found.indices[:, 0]


@torch.no_grad()
def nearest_ratio(*, train: Tensor, test: Tensor, fake: Tensor) -> Estimate:
    """Mean distance of fakes to the nearest training image over that of held-out real images.

    Args:
        train: Features (N, D) of the training images.
        test: Features (L, D) of real images that the model has not seen.
        fake: Features (M, D).

    Returns:
        0 for copies, 1 for new images of the same law, more for images unlike all of them. The
        error is over the draws of fakes and of held-out images, by the delta method, the training
        images held fixed; None where there is only one of either.

    Raises:
        UsageError: If the held-out images are copies themselves, or features do not fit.
    """
    check(training=train, test=test, fake=fake)
    distances, _ = nearest_training(train=train, fake=joined(test, fake))
    real, drawn = distances.split([len(test), len(fake)])
    (value, error), (usual, own) = mean_estimate(drawn), mean_estimate(real)
    if not usual:
        raise UsageError("all held-out images are copies of training images")
    ratio = value / usual
    if error is None or own is None:
        return Estimate(ratio)
    return Estimate(ratio, math.hypot(error, ratio * own) / usual)


@torch.no_grad()
def copying(*, train: Tensor, test: Tensor, fake: Tensor, seed: int = 0) -> Estimate:
    r"""The data-copying statistic C_T (Meehan et al., 2020): far below 0, fakes copy.

    In every cell of a clustering of the training images, the distances to the nearest training
    image are ranked, fakes' against held-out images': $z = (U - nm/2) / \sqrt{nm(n+m+1)/12}$, U the
    number of pairs in which the fake is farther. C_T is the mean of z over cells with 20 images of
    both kinds or more, with their shares of the held-out images as weights. Features of more than
    64 dimensions are projected to the first 64 principal axes of the training images.

    Args:
        train: Features (N, D) of the training images.
        test: Features (L, D) of real images that the model has not seen.
        fake: Features (M, D).
        seed: Of the clustering.

    Returns:
        Standard deviations: about 0 for new images of the same law, above 0 for underfitting. It
        grows with the square root of the number of images: compare at equal numbers only. The error
        is that of a jackknife over 20 blocks of fakes, and does not know of cells that come and go.

    Raises:
        UsageError: If no cell holds enough images, or features do not fit.
    """
    from sklearn.cluster import KMeans

    check(training=train, test=test, fake=fake)
    train, test, fake = _principal(train, test, fake)
    distances, _ = nearest_training(train=train, fake=joined(test, fake))
    cells = KMeans(min(CELLS, len(train)), n_init=3, random_state=seed).fit(train.numpy(force=True))
    of_test, of_fake = (
        torch.as_tensor(cells.predict(x.numpy(force=True)), device=distances.device)
        for x in (test, fake)
    )
    real, drawn = distances.split([len(test), len(fake)])
    held = [
        cell
        for cell in range(cells.n_clusters)
        if min((of_test == cell).sum(), (of_fake == cell).sum()) >= LEAST
    ]
    if not held:
        raise UsageError(
            f"no part of the data holds {LEAST} of the {len(test)} held-out images and of the "
            f"{len(fake)} fakes; take more of both"
        )

    def statistic(kept: Tensor) -> Tensor:
        weights = torch.stack([(of_test == cell).sum() for cell in held]).double()
        values = [
            mann_whitney(drawn[kept & (of_fake == cell)], real[of_test == cell]) for cell in held
        ]
        return weights @ weights.new_tensor(values) / weights.sum()

    block = torch.arange(len(fake), device=drawn.device) * blocks_of(len(fake)) // len(fake)
    left_out = torch.stack([statistic(block != b) for b in range(blocks_of(len(fake)))])
    return Estimate(statistic(block >= 0).item(), jackknife(left_out))


@torch.no_grad()
def authenticity(*, train: Tensor, fake: Tensor) -> Estimate:
    """Share of fakes farther from their nearest training image than that is from the next one.

    Alaa et al. (2022). Neither 1/2 nor 1 is neutral: new images of the same law have
    0.39, 0.68 and 0.85 in 2, 16 and 64 dimensions of a Gaussian. Compare with held-out images.

    Args:
        train: Features (N, D), N > 1.
        fake: Features (M, D).

    Returns:
        In [0, 1]; 0 for copies.

    Raises:
        UsageError: If there are too few images, or features do not fit.
    """
    if len(train) < 2:
        raise UsageError("authenticity needs 2 training images or more")
    x, y = Points.of(real=train, fake=fake)
    found = nearest(y, x, 1)
    hit, which = found.indices[:, 0].unique(return_inverse=True)
    own = nearest(x.take(hit), x, 2).squares[:, 1]  # the first is the image itself
    return share_estimate(found.squares[:, 0] > own[which])


@torch.no_grad()
def memorisation_penalty(*, train: Tensor, fake: Tensor, threshold: float) -> Estimate:
    r"""What MIFID multiplies a Fréchet distance with, where fakes repeat training images.

    $1 / (s + 10^{-14})$ where $s < threshold$, else 1, with
    $s = \frac1M \sum_j \min_i (1 - |\cos(x_i, y_j)|)$ over fakes j and training images i (Bai et
    al., 2021). torchmetrics takes the mean over training images instead: a generator that repeats a
    few of them goes unpunished there.

    Args:
        train: Features (N, D); one of norm 0 is near to nothing.
        fake: Features (M, D).
        threshold: On s, tied to the features; 0.1 for Inception's.

    Returns:
        A factor, 1 or more; its error is that of s by the delta method.

    Raises:
        UsageError: If a set is empty, dimensions differ or a feature is not finite.
    """
    check(training=train, fake=fake)
    x, y = (_unit(features) for features in (train, fake))
    cosines = torch.zeros_like(y[:, 0])
    for rows in slices(0, len(y), BLOCK):
        for columns in slices(0, len(x), BLOCK):
            found = (y[rows] @ x[columns].T).abs().amax(1)
            cosines[rows] = torch.maximum(cosines[rows], found)
    distance, error = mean_estimate((1 - cosines).clamp_min(0))
    if distance >= threshold:
        return Estimate(1.0, 0.0)
    factor = 1 / (distance + 1e-14)
    return Estimate(factor, None if error is None else error * factor**2)


def _unit(features: Tensor) -> Tensor:
    """Rows of norm 1, float64."""
    if features.device.type == "mps":  # which has no float64
        features = features.cpu()
    return each(lambda x: torch.nn.functional.normalize(x.double(), eps=1e-300), features)


def _principal(train: Tensor, *others: Tensor, dimensions: int = 64) -> list[Tensor]:
    """Features on the first principal axes of the training images, where there are more."""
    if train.shape[1] <= dimensions:
        return [train, *others]
    if train.device.type == "mps":  # which has no float64
        train, others = train.cpu(), tuple(features.cpu() for features in others)
    mean = train.mean(0, dtype=torch.float64)
    centred = train.double() - mean
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -dimensions:]

    def projected(features: Tensor) -> Tensor:
        return (features.double() - mean) @ axes

    return [projected(train), *(each(projected, features) for features in others)]


def mann_whitney(a: Tensor, b: Tensor) -> float:
    """How far values (m,) lie above values (n,), in deviations of the rank sum under equal laws.

    Mann & Whitney (1947); ties count half and narrow the deviation.
    """
    m, n, total = len(a), len(b), len(a) + len(b)
    ordered = b.sort().values
    below, upto = (torch.searchsorted(ordered, a, right=right) for right in (False, True))
    wins = (below + upto).sum().item() / 2
    ties = torch.cat([a, b]).unique(return_counts=True)[1].double()
    correction = (ties**3 - ties).sum().item() / (total * (total - 1))
    variance = m * n / 12 * (total + 1 - correction)
    return (wins - m * n / 2) / variance**0.5 if variance > 0 else 0.0
