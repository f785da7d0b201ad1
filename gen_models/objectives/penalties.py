r"""What a discriminator pays for its slope: gradient penalties, values per judgement.

Each is called with the critic D, a function of what it is shown, (B, ...) to logits (B / m,), m
images a judgement where they are packed, and with real and generated inputs. The slope's norm is
taken over all that belongs to a judgement: over channels, height and width together. Values are
unweighted; `weight` is a number, or a schedule of images seen.

They are computed in float32 whatever autocast is around, and in each of the discriminator's turns:
a penalty in every eighth turn is another game, which fails on simple data (Huang et al., 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gen_models.objectives.schedules import Schedule, check_not_negative

Critic = Callable[[Tensor], Tensor]
"""Maps what a discriminator is shown, (B, ...), to logits (B / m,)."""


class Penalty(Protocol):
    """What a GAN asks of a penalty."""

    @property
    def weight(self) -> float | Schedule:
        """What the penalty is multiplied by."""
        ...

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The penalty of each judgement, (B / m,), unweighted."""
        ...


def squared_slope(critic: Critic, x: Tensor) -> Tensor:
    r"""$|\nabla D(x)|^2$ over all that belongs to a judgement.

    Args:
        critic: (B, ...) to logits (B / m,).
        x: (B, ...); no gradient flows into what made it.

    Returns:
        (B / m,), float32; differentiable in the critic's parameters where gradients are on.
    """
    training = torch.is_grad_enabled()
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(x.device.type, enabled=False),
    ):
        x = x.detach().clone().float().requires_grad_()
        logits = critic(x)
        (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=training)
    return slope.reshape(len(logits), -1).square().sum(1)


@dataclass(frozen=True)
class R1:
    r"""$\tfrac12 |\nabla D(x)|^2$ at real images (Mescheder et al., 2018, equation 9).

    Attributes:
        weight: gamma, >= 0: a number or a schedule.
    """

    weight: float | Schedule

    def __post_init__(self) -> None:
        check_not_negative("penalties.weight", self.weight)

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """(B / m,), squared logits per squared input."""
        return squared_slope(critic, real) / 2
