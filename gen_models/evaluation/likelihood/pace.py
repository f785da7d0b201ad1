r"""How far a transition goes, and where the stops lie, as the density of an annealed walk sharpens.

Between the prior and a sharp posterior the density narrows by orders of magnitude: where a Gaussian
likelihood adds precision $\kappa$ to a latent of precision 1, the density at inverse temperature
$\beta$ has precision $1 + \kappa\beta$. A step that suits its middle is refused at its end. So
steps are $s\,(1 + \kappa\beta)^{-1/2}$, and stops are even in $\log(1 + \kappa\beta)$, which for
Gaussians makes every stop equally hard. Both are fitted to a preliminary run, for
each image apart; the stops are those of the median image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SIGMOID_RADIUS = 4.0
PRELIMINARY = 1000.0
"""The sharpening that the preliminary run's stops are made for: three decades of beta."""
SHARPENINGS = (0.0, *(10 ** (step / 4) for step in range(-4, 25)))
"""To choose from: the last is that of a standard deviation a thousandth of the prior's."""
SETTLING = 0.2
"""Share of the preliminary run that is left out: the step has not settled yet."""


@dataclass(frozen=True)
class Pace:
    r"""Steps $s\,(1 + \kappa\beta)^{-1/2}$.

    Attributes:
        scale: (B,), s of each image, float64, in units of z.
        sharpening: (B,), kappa >= 0 of each image, float64.
    """

    scale: Tensor
    sharpening: Tensor

    @classmethod
    def fitted(cls, betas: list[float], log_steps: Tensor) -> Pace:
        """The least squares fit to a preliminary run.

        Args:
            betas: T inverse temperatures.
            log_steps: (T, B), the log of each image's step there.
        """
        begin = int(SETTLING * len(betas))
        kept = log_steps[begin:]
        at = kept.new_tensor(betas[begin:])
        choices = kept.new_tensor(SHARPENINGS)
        scales = kept + 0.5 * torch.log1p(choices[:, None] * at)[..., None]
        best = scales.var(1, correction=0).argmin(0)
        chosen = scales.median(1).values.gather(0, best[None])[0]
        return cls(chosen.exp(), choices[best])

    def step(self, beta: float) -> Tensor:
        """(B,), in units of z."""
        return self.scale / (1 + self.sharpening * beta) ** 0.5

    def stops(self, temperatures: int) -> list[float]:
        """Inverse temperatures from 0 to 1, T + 1 of them, for the median image."""
        return even(temperatures, self.sharpening.median().item())


def even(temperatures: int, sharpening: float) -> list[float]:
    r"""Inverse temperatures even in $\log(1 + \kappa\beta)$, from 0 to 1, T + 1 of them.

    Example:
        >>> [round(beta, 3) for beta in even(3, 999.0)]
        [0.0, 0.009, 0.099, 1.0]
    """
    places = torch.linspace(0, 1, temperatures + 1, dtype=torch.float64)
    if sharpening == 0:
        return places.tolist()
    grown = torch.expm1(places * torch.log1p(places.new_tensor(sharpening)))
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
