"""How evenly a decoder's images change with the latent, seen through features."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.precision import full_precision
from gen_models.evaluation.statistics.estimate import Estimate


def path_length(
    decode: Callable[[Tensor], Tensor],
    sample_prior: Callable[[int, torch.Generator], Tensor],
    features: Callable[[Tensor], Tensor],
    *,
    count: int,
    generator: torch.Generator,
    step: float = 1e-2,
    batch: int = 250,
) -> Estimate:
    r"""Mean squared speed of the features along arcs between draws of the prior.

    $\mathbb{E}\, |f(G(z_{t+e/2})) - f(G(z_{t-e/2}))|^2 / e^2$, t uniform on (0, 1): the perceptual
    path length of Karras et al. (2019), section 4.1, with features of our own, so under another
    name. The arc is $z_t = \cos(\tfrac{\pi}{2} t) z_0 + \sin(\tfrac{\pi}{2} t) z_1$, the spherical
    interpolation of two draws at their expected right angle. For the prior N(0, I) every z_t, and
    its velocity over pi/2, is again a draw of the prior, independent of the other; in few
    dimensions, where the angle of two draws may be 0 or pi, the usual formula divides by 0. The
    value is then $\tfrac{\pi^2}{4} \mathbb{E} |J_{f \circ G}(z)|_F^2$ up to the square of e.

    The paper's e of 1e-4 is near what float32 resolves and far below half precision and TF32,
    which are switched off here. At 1e-2 rounding adds 2e-6 of the value and the bends of ReLU take
    away 0.3 % (measured on a VAE of digits). Images must reach f as floats: at 8 bits most steps
    are none, so that an extractor that rounds, as Inception's does, is no use here.

    Args:
        decode: Latents (B, D) to float pixels (B, C, H, W).
        sample_prior: A count and a generator to latents (count, D).
        features: Pixels (B, C, H, W) to features (B, F), float.
        count: Arcs, 2 or more.
        generator: Of latents and t, on their device.
        step: e, as a part of the arc.
        batch: Arcs at a time.

    Returns:
        Squared feature units a unit of t squared; lower is smoother.

    Raises:
        UsageError: If count is below 2, the step is not positive, or a value is not finite.
    """
    if count < 2 or not step > 0:
        raise UsageError(f"a path length needs count >= 2 and step > 0, not {count} and {step}")
    start, end = sample_prior(2 * count, generator).split(count)
    t = torch.rand(count, 1, generator=generator, device=generator.device).to(start)
    speeds = []
    with full_precision():
        for a, b, at in zip(start.split(batch), end.split(batch), t.split(batch), strict=True):
            turns = [math.pi / 2 * (at + side * step / 2) for side in (-1, 1)]
            arc = [turn.cos() * a + turn.sin() * b for turn in turns]
            before, after = features(decode(torch.cat(arc))).flatten(1).split(len(a))
            speeds.append(((after - before) / step).square().sum(1))
    speed = torch.cat(speeds).cpu().double()
    if not speed.isfinite().all():
        raise UsageError("the features of decoded latents are not finite: the model has diverged")
    return Estimate(speed.mean().item(), (speed.std() / count**0.5).item())
