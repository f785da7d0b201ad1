"""Planar flows, with their constraint and their inverse."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Transform, constraints
from torch.nn.functional import softplus


class Planar(Transform):
    r"""$f(z) = z + \hat u \tanh(w^T z + b)$, log-determinant $\log(1 + (1-\tanh^2)\,w^T\hat u)$.

    Rezende & Mohamed (2015), equations 10 to 12. It is invertible where $w^T\hat u > -1$, which
    $\hat u = u + (m(w^T u) - w^T u)\,w/|w|^2$ keeps (their appendix A.1). Their
    m(x) = softplus(x) - 1 is moved to $m(x) = \mathrm{softplus}(x + c) - 0.999$ with m(0) = 0, so
    that u = 0 is the identity, w = 0 no singularity, and the slope along w stays above 0.001.

    Args:
        u: (..., D).
        w: (..., D).
        b: (..., 1).
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True
    bound = 0.999

    def __init__(self, u: Tensor, w: Tensor, b: Tensor) -> None:
        super().__init__()
        inner = (w * u).sum(-1, keepdim=True)
        square = w.square().sum(-1, keepdim=True).clamp_min(torch.finfo(w.dtype).tiny)
        self.gain = softplus(inner + math.log(math.expm1(self.bound))) - self.bound
        self.u, self.w, self.b = u + (self.gain - inner) / square * w, w, b

    def _angle(self, z: Tensor) -> Tensor:
        return (self.w * z).sum(-1, keepdim=True) + self.b

    def _call(self, x: Tensor) -> Tensor:
        return x + self.u * self._angle(x).tanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """(...), of x (..., D)."""
        return (self.gain * (1 - self._angle(x).tanh().square())).log1p().squeeze(-1)

    def _inverse(self, y: Tensor) -> Tensor:
        r"""The unique root of $\alpha + w^T\hat u \tanh\alpha = w^T y + b$ gives all of z.

        Bisection has no gradient; the step of Newton's method after it has the implicit one.
        """
        target = self._angle(y)
        with torch.no_grad():
            lower, upper = target - self.gain.abs(), target + self.gain.abs()
            for _ in range(40):
                angle = (lower + upper) / 2
                below = angle + self.gain * angle.tanh() < target
                lower, upper = torch.where(below, angle, lower), torch.where(below, upper, angle)
            slope = 1 + self.gain * (1 - angle.tanh().square())
        angle = angle + (target - angle - self.gain * angle.tanh()) / slope
        return y - self.u * angle.tanh()


class PlanarStep(nn.Module):
    """A planar map whose u, w and b are affine in the context.

    Args:
        latent_dim: D.
        context: How many features the context has; 0: none.
    """

    def __init__(self, latent_dim: int, context: int) -> None:
        super().__init__()
        direction = torch.randn(latent_dim) / math.sqrt(latent_dim)
        start = torch.cat([torch.zeros(latent_dim), direction, torch.zeros(1)])
        self.start = nn.Parameter(start)
        self.slope: nn.Parameter | None
        slope = nn.Parameter(torch.zeros(context, len(start))) if context else None
        self.register_parameter("slope", slope)

    def forward(self, context: Tensor | None) -> Transform:
        """The map at a context (..., F)."""
        latent_dim = len(self.start) // 2
        with torch.autocast(self.start.device.type, enabled=False):  # it would halve the digits
            moved = 0.0 if self.slope is None or context is None else context @ self.slope
            return Planar(*(self.start + moved).split([latent_dim, latent_dim, 1], dim=-1))
