r"""Hamiltonian Monte Carlo on many chains at once, along a path of densities.

A path holds every density $f_\beta(z) = s(z)\,r(z)^\beta$ between $s = f_0$ and $s r = f_1$. A
`Point` keeps values and gradients of both factors, so that a change of beta costs no decoding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

LEAST_JITTER = 0.6
"""Every trajectory's step is the given one times a draw of U[0.6, 1], for each chain apart.

Where the density is near a Gaussian, trajectories are nearly periodic: with one fixed step some
directions come back to where they were, and the chain stalls (Neal, 2011, section 3.2).
"""


class Point(NamedTuple):
    """Where the chains stand, and the path there.

    Attributes:
        z: (K, B, D), K chains for each image.
        start: (K, B), log s(z), nats, float64.
        ratio: (K, B), log r(z), nats, float64.
        start_slope: (K, B, D), gradient of log s.
        ratio_slope: (K, B, D), gradient of log r.
    """

    z: Tensor
    start: Tensor
    ratio: Tensor
    start_slope: Tensor
    ratio_slope: Tensor

    def log_density(self, beta: float) -> Tensor:
        """Log of the density at beta, not normalised, (K, B), nats."""
        return self.start + beta * self.ratio

    def slope(self, beta: float) -> Tensor:
        """Gradient of `log_density`, (K, B, D)."""
        return self.start_slope + beta * self.ratio_slope


Path = Callable[[Tensor], Point]
"""Latents (K, B, D) to all that there is to know of the path there."""


def leapfrog(
    path: Path, point: Point, momentum: Tensor, beta: float, step: Tensor, leapfrogs: int
) -> tuple[Point, Tensor]:
    """Follow Hamilton's equations: volume-preserving, and reversed by turning the momentum round.

    Neal (2011), equations 2.28 to 2.30, with a unit mass matrix.

    Args:
        path: The densities.
        point: Where to start.
        momentum: (K, B, D).
        beta: Which density of the path, in [0, 1].
        step: (K, B, 1), in units of z.
        leapfrogs: How many steps; each costs one gradient.

    Returns:
        Point and momentum at the end.
    """
    momentum = momentum + 0.5 * step * point.slope(beta)
    for remaining in reversed(range(leapfrogs)):
        # A trajectory that diverges has no finite momentum and is refused in the end; until then it
        # must not bring the decoder down.
        point = path((point.z + step * momentum).nan_to_num(0.0, 0.0, 0.0))
        momentum = momentum + (1.0 if remaining else 0.5) * step * point.slope(beta)
    return point, momentum


def transition(
    path: Path,
    point: Point,
    beta: float,
    step: Tensor,
    leapfrogs: int,
    generator: torch.Generator,
) -> tuple[Point, Tensor]:
    r"""One step of a Markov chain that leaves $f_\beta$ invariant and is its own reversal.

    A fresh momentum, a trajectory, and the correction of Metropolis: accepted with probability
    $\min(1, e^{H - H'})$, $H = |v|^2 / 2 - \log f_\beta(z)$ for momentum v.

    Args:
        path: The densities.
        point: Where the chains stand.
        beta: Which density of the path, in [0, 1].
        step: (B,), the longest step for each image, in units of z.
        leapfrogs: Steps of a trajectory.
        generator: Where momentum, jitter and decisions come from.

    Returns:
        Where the chains stand next, and the probability of acceptance, (K, B), float64.
    """

    def random(draw: Callable[..., Tensor], like: Tensor) -> Tensor:
        # MPS has no float64.
        dtype = torch.float32 if generator.device.type == "mps" else like.dtype
        options = {"generator": generator, "device": generator.device, "dtype": dtype}
        return draw(like.shape, **options).to(like.device).to(like.dtype)

    momentum = random(torch.randn, point.z)
    jitter = LEAST_JITTER + (1 - LEAST_JITTER) * random(torch.rand, point.z[..., :1])
    end, pushed = leapfrog(path, point, momentum, beta, step[:, None] * jitter, leapfrogs)
    energy, ended = (
        0.5 * v.square().sum(-1).to(p.start) - p.log_density(beta)
        for p, v in ((point, momentum), (end, pushed))
    )
    acceptance = (energy - ended).clamp_max(0).exp().nan_to_num(0.0)
    accepted = random(torch.rand, acceptance) < acceptance
    return chosen(accepted, end, point), acceptance


def chosen(accepted: Tensor, new: Point, old: Point) -> Point:
    """`new` where accepted (K, B), else `old`."""

    def choose(a: Tensor, b: Tensor) -> Tensor:
        where = accepted.to(a.device)
        return torch.where(where if a.dim() == 2 else where[..., None], a, b)

    return Point(*map(choose, new, old))
