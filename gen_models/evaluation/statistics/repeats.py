"""Do samples repeat each other nearly? The birthday test of a small support."""

from __future__ import annotations

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.rows import chosen
from gen_models.evaluation.statistics.estimate import Estimate, share_estimate
from gen_models.evaluation.statistics.points import Points, check, nearest


@torch.no_grad()
def near_repeats(*, real: Tensor, fake: Tensor, share: float = 0.01) -> Estimate:
    r"""Share of samples with a twin: another sample nearer than real images nearly ever are.

    Arora & Zhang (2017) look for a pair that is one picture among N samples: where it is as likely
    as not, there are about $N^2$ pictures. Here a machine looks. Twins are nearer than the `share`
    quantile of the distances of real images to their nearest other, among as many real images as
    samples. A perfect sampler has `share` of them for large N, and up to 2 / N more for small N,
    because twins come in pairs and the quantile may lie on either of them: 0.0149 of 0.01 at
    N = 400. The error is binomial, times the root of 2 for the pairs, and does not know of the
    quantile's own.

    Args:
        real: Features (N, D).
        fake: Features (M, D).
        share: Quantile, in (0, 1).

    Returns:
        A share in [0, 1].

    Raises:
        UsageError: If there are fewer than 2 / `share` of either, if more than `share` of the real
            images are repeated exactly, dimensions differ or a feature is not finite.
    """
    check(real=real, fake=fake)
    count = min(len(real), len(fake))
    if count < 2 / share:
        raise UsageError(
            f"{count} images of either side are too few for the {share:g} quantile of distances"
        )
    sides = Points.of(real=chosen(real, count), fake=chosen(fake, count))
    among_real, among_fake = (nearest(side, side, 2).squares[:, 1] for side in sides)
    limit = among_real.quantile(share)
    if not limit:  # none is nearer than 0, and as near are more than `share` of a perfect sampler's
        repeated = (among_real == 0).double().mean().item()
        raise UsageError(
            f"{repeated:.2%} of the real images have an exact copy among them, so that twins are "
            f"no sign of a small support at share={share:g}: take a larger share"
        )
    value, error = share_estimate(among_fake < limit)
    return Estimate(value, None if error is None else 2**0.5 * error)
