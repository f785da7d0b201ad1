r"""What the classes of samples say, by a classifier: score, divergence, coverage, confidence.

Logits (N, K) come from the data set's own classifier, which names every image, garbage too: the
share of confident answers belongs beside every number here. The real side is fixed: labels (M,)
of the real images, or the shares (K,) that the classes should have.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.rows import each
from gen_models.evaluation.statistics.estimate import Estimate, share_estimate
from gen_models.evaluation.statistics.selection import not_finite
from gen_models.information import divergence


def classifier_score(logits: Tensor) -> Estimate:
    r"""$\exp \mathbb{E}_x \mathrm{KL}(p(y \mid x) \,\|\, p(y))$, the Inception Score's formula.

    Salimans et al. (2016), section 4, on the data's own classifier. All samples are one split, so
    that their order does not matter. The influence of a sample on the logarithm is its own
    divergence less the mean, which gives the error by the delta method. It looks at no real image
    and cannot see that a class has collapsed to one picture.

    Args:
        logits: (N, K) of the samples, N > 1.

    Returns:
        The score, from 1 (every answer is the same) to K (sure answers, all classes alike).

    Raises:
        UsageError: If there are fewer than two samples or a logit is not finite.

    Example:
        >>> score = classifier_score(100 * torch.eye(4).repeat(25, 1))
        >>> round(score.value, 4), round(score.error, 4)
        (4.0, 0.0)
    """
    p = each(lambda x: x.double().softmax(1), _checked(logits))
    mean = p.mean(0)
    apart = each(lambda rows: divergence(rows, mean), p)
    score = apart.mean().exp().item()
    return Estimate(score, score * (apart.std() / len(apart) ** 0.5).item())


def class_divergence(*, real: Tensor, fake: Tensor) -> Estimate:
    r"""$\mathrm{KL}(\hat p \,\|\, q)$ of the samples' classes to the real ones, bias corrected.

    The value is $\sum_k \hat p_k \log(\hat p_k / q_k) - (K_+ - 1) / 2N$ with $\hat p$ the shares of
    the classifier's answers and K+ the classes that have an answer (Miller, 1955; Madow's term).
    Only the entropy of $\hat p$ is biased and corrected: the cross-entropy is linear in it, and q
    is held fixed. The correction is exact to order 1/N; where samples are too few to meet every
    class it is too small (`chance_level` says what is left).

    The value is not clipped: a perfect sampler scatters around 0 and is negative about half of the
    time, so that means over seeds stay unbiased. Clip at 0 in print, if at all.

    The error is the delta method's, $\mathrm{sd}(\log(p_y / q_y)) / \sqrt N$, at the mean p of
    Jeffreys' posterior of the shares, half an answer more for every class: so a collapsed model,
    whose next draw might hold another class, has an error too. Near $\hat p = q$, where the first
    order vanishes, it is too large by up to the root of 2.

    Args:
        real: (M,) integer labels, or (K,) float shares.
        fake: (N, K) logits of the samples, N > 1; a class is the largest logit.

    Returns:
        Nats; up to -log of the rarest share.

    Raises:
        UsageError: If a class has samples and no real image (the divergence is infinite), the two
            sides do not fit, or a logit is not finite.

    Example:
        >>> fake = torch.eye(4)[:2].repeat(500, 1)
        >>> round(class_divergence(real=torch.arange(4), fake=fake).value + 1 / 2000, 4)
        0.6931
    """
    q, counts = _sides(real, fake)
    infinite = (q == 0) & (counts > 0)
    if infinite.any():
        raise UsageError(
            f"class {int(infinite.nonzero()[0])} has samples but no real image, so that the "
            "divergence is infinite; measure on a split that has images of every class"
        )
    plug_in, error = histogram_divergence(counts, q)
    bias = (int((counts > 0).sum()) - 1) / (2 * len(fake))
    return Estimate(plug_in - bias, error)


def histogram_divergence(counts: Tensor, shares: Tensor) -> Estimate:
    r"""$\mathrm{KL}(\hat p \,\|\, q)$ of counts to shares, as it is, with the error above.

    Args:
        counts: (K,), float64, not all 0.
        shares: (K,), q, float64, summing to 1, > 0 where there is a count.

    Returns:
        Nats, >= 0; a perfect sampler's is (K - 1) / 2N for large N.
    """
    total, plug_in = counts.sum(), divergence(counts / counts.sum(), shares)
    likely = (counts + 0.5)[shares > 0]
    likely = likely / likely.sum()
    logs = (likely / shares[shares > 0]).log()
    variance = (likely * (logs - (likely * logs).sum()).square()).sum()
    return Estimate(plug_in.item(), (variance / total).sqrt().item())


def class_coverage(*, real: Tensor, fake: Tensor, share: float = 0.01) -> Estimate:
    r"""How many classes have at least `share` of the samples they should have, and at least one.

    A class of real share q_k should have N q_k samples. With few samples a class this is the count
    of modes of Srivastava et al. (VEEGAN, 2017): 1000 classes, 26,000 samples.

    The error adds up the chance of each class to be met again or not in another draw of N, binomial
    at its share of this draw; counts of classes are taken as independent, though they compete.

    Args:
        real: (M,) integer labels, or (K,) float shares.
        fake: (N, K) logits of the samples, N > 1.
        share: In (0, 1].

    Returns:
        Classes, from 0 to the number of classes that have real images.

    Raises:
        UsageError: If the share is out of range, the two sides do not fit, or a logit is not
            finite.
    """
    from scipy.stats import binom

    q, counts = _sides(real, fake)
    needed = _needed(q * len(fake), share)
    covered = ((counts >= needed) & (q > 0)).sum()
    again = torch.from_numpy(binom.sf(needed - 1, len(fake), counts / len(fake)))[q > 0]
    return Estimate(covered.item(), (again * (1 - again)).sum().sqrt().item())


class ChanceLevel(NamedTuple):
    """What a perfect sampler of K equally frequent classes is expected to show at N samples.

    Attributes:
        coverage: Classes, of `class_coverage`.
        divergence: Nats, of the classes' shares before any correction; (K - 1) / 2N for large N.
        corrected: Nats, of `class_divergence`; 0 for large N.
    """

    coverage: float
    divergence: float
    corrected: float


def chance_level(classes: int, count: int, share: float = 0.01) -> ChanceLevel:
    """Expected coverage and divergence of a perfect sampler, exact binomial sums.

    Args:
        classes: K, all equally frequent.
        count: N, samples.
        share: As of `class_coverage`.

    Example:
        >>> level = chance_level(classes=1000, count=26_000)
        >>> round(level.coverage, 4), round(level.divergence, 4), round(level.corrected, 4)
        (1000.0, 0.0193, 0.0001)
    """
    from scipy.stats import binom

    hits = torch.arange(count + 1, dtype=torch.float64)
    answers = binom(count, 1 / classes)
    chance = torch.from_numpy(answers.pmf(hits))
    plug_in = (chance * torch.special.xlogy(hits, hits * classes / count)).sum() * classes / count
    needed = _needed(torch.tensor(count / classes, dtype=torch.float64), share)
    coverage = classes * answers.sf(needed - 1)
    bias = (classes * answers.sf(0) - 1) / (2 * count)
    return ChanceLevel(float(coverage), plug_in.item(), plug_in.item() - float(bias))


def confident_share(logits: Tensor, threshold: float = 0.9) -> Estimate:
    """Share of samples whose likeliest class has a probability of `threshold` or more.

    Args:
        logits: (N, K) of the samples, N > 1.
        threshold: In [0, 1].

    Returns:
        A share in [0, 1].

    Raises:
        UsageError: If there are fewer than two samples or a logit is not finite.
    """

    def sure(part: Tensor) -> Tensor:
        return part.double().softmax(1).amax(1) >= threshold

    return share_estimate(each(sure, _checked(logits)))


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Shares (K,) of the classes among integer labels (N,), float64, on the CPU.

    Raises:
        UsageError: If there is no label, or one is not in 0..K-1.
    """
    if not len(labels) or labels.min() < 0 or labels.max() >= classes:
        raise UsageError(f"labels must be classes 0 to {classes - 1}, as the classifier has them")
    return torch.bincount(labels.cpu(), minlength=classes).double() / len(labels)


def _sides(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Real shares (K,) and the counts (K,) of the samples' classes, float64."""
    logits = _checked(fake)
    classes = logits.shape[1]
    counts = torch.bincount(each(lambda x: x.argmax(1), logits), minlength=classes).double()
    if not real.is_floating_point():
        return class_shares(real, classes), counts
    shares = real.cpu().double()
    if shares.shape != (classes,) or (shares < 0).any() or abs(shares.sum().item() - 1) > 1e-5:
        raise UsageError(
            f"real shares must be {classes} numbers that add up to 1, not {tuple(shares.shape)} "
            f"that add up to {shares.sum().item():.6g}"
        )
    return shares, counts


def _needed(expected: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise UsageError(f"share={share} of the expected samples must be above 0 and at most 1")
    # 0.01 * 100 may come out a hair above 1, which is no second sample.
    return (share * expected - 1e-9).ceil().clamp_min(1)


def _checked(logits: Tensor) -> Tensor:
    if logits.ndim != 2 or len(logits) < 2:
        raise UsageError(f"logits of 2 samples or more are needed, not {tuple(logits.shape)}")
    bad = not_finite(logits)
    if len(bad):
        raise UsageError(f"image {int(bad[0])} has logits that are not finite")
    return logits.detach().cpu()
