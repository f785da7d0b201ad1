r"""How far a transition goes, and where the stops lie, as the density of an annealed walk sharpens.

Between the prior and a sharp posterior the density narrows by orders of magnitude. A step that
suits its middle is refused at its end, so that steps are $s\,(1 + \kappa\beta)^{-1/2}$ at inverse
temperature $\beta$: as a Gaussian likelihood narrows a Gaussian prior. A walk's weights lose
$(\beta_t - \beta_{t-1})^2\,\mathrm{Var}_\beta \log r$ in each transition (Grosse et al., 2015,
section 2), so that stops are even in $\int \mathrm{sd}_\beta(\log r)\,d\beta$. Both are read off a
preliminary run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SIGMOID_RADIUS = 4.0
PRELIMINARY = 1000.0
"""What the preliminary run's stops are made for: three decades of beta."""
SHARPENINGS = (0.0, *(10 ** (step / 4) for step in range(-4, 25)))
"""To choose from: the last is that of a standard deviation a thousandth of the prior's."""
SETTLING = 0.2
"""Share of the preliminary run that is left out: the step has not settled yet."""


@dataclass(frozen=True)
class Pace:
    r"""Steps $s\,(1 + \kappa\beta)^{-1/2}$, and stops that are equally hard.

    Attributes:
        scale: (B,), s of each image, float64, in units of z.
        sharpening: (B,), kappa >= 0 of each image, float64.
        betas: (T,), inverse temperatures from 0 to 1.
        share: (T,), of the way's difficulty that lies behind each, from 0 to 1.
    """

    scale: Tensor
    sharpening: Tensor
    betas: Tensor
    share: Tensor

    @classmethod
    def fitted(cls, betas: list[float], log_steps: Tensor, log_ratios: Tensor) -> Pace:
        """What a preliminary run says.

        Args:
            betas: Inverse temperatures, T + 1 from 0 to 1.
            log_steps: (T, B), the log of each image's step behind each but the first.
            log_ratios: (T + 1, C, B), log r of the chains there, nats.
        """
        at = log_steps.new_tensor(betas)
        begin = 1 + int(SETTLING * len(log_steps))
        choices = at.new_tensor(SHARPENINGS)
        narrowed = 0.5 * torch.log1p(choices[:, None] * at[begin:])[..., None]
        scales = log_steps[begin - 1 :] + narrowed
        best = scales.var(1, correction=0).argmin(0)
        scale = scales.median(1).values.gather(0, best[None])[0].exp()
        spread = log_ratios.var(1, correction=0).mean(1).sqrt().to(at)
        behind = torch.cumulative_trapezoid(spread, at)
        behind = torch.cat([at[:1], behind])
        share = behind / behind[-1] if behind[-1] > 0 else at
        return cls(scale, choices[best], at.cpu(), share.cpu())

    def step(self, beta: float) -> Tensor:
        """(B,), in units of z."""
        return self.scale / (1 + self.sharpening * beta).sqrt()

    def stops(self, temperatures: int) -> list[float]:
        """Inverse temperatures from 0 to 1, T + 1 of them."""
        places = np.linspace(0, 1, temperatures + 1)
        return np.interp(places, self.share.numpy(), self.betas.numpy()).tolist()


def geometric(temperatures: int) -> list[float]:
    r"""Inverse temperatures even in $\log(1 + 1000\,\beta)$, from 0 to 1, T + 1 of them.

    Example:
        >>> [round(beta, 3) for beta in geometric(3)]
        [0.0, 0.009, 0.099, 1.0]
    """
    places = torch.linspace(0, 1, temperatures + 1, dtype=torch.float64)
    grown = torch.expm1(places * torch.log1p(places.new_tensor(PRELIMINARY)))
    return (grown / grown[-1]).tolist()


def sigmoid(temperatures: int) -> list[float]:
    """Inverse temperatures from 0 to 1, T + 1 of them, close together at both ends.

    The sigmoid on [-4, 4], moved and scaled (Grosse et al., 2015; Wu et al., 2017).

    Example:
        >>> [round(beta, 3) for beta in sigmoid(4)]
        [0.0, 0.105, 0.5, 0.895, 1.0]
    """
    places = torch.linspace(-1, 1, temperatures + 1, dtype=torch.float64)
    curve = torch.sigmoid(SIGMOID_RADIUS * places)
    return ((curve - curve[0]) / (curve[-1] - curve[0])).tolist()
