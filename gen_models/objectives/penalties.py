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

from gen_models.errors import UsageError
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


def slope(critic: Critic, x: Tensor) -> Tensor:
    r"""$\nabla D(x)$, flat over all that belongs to a judgement.

    Args:
        critic: (B, ...) to logits (B / m,).
        x: (B, ...); no gradient flows into what made it.

    Returns:
        (B / m, n), at least float32; differentiable in the critic's parameters where gradients are
        on.
    """
    training = torch.is_grad_enabled()
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(x.device.type, enabled=False),
    ):
        x = _widened(x).clone().requires_grad_()
        logits = critic(x)
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=training)
    return gradient.reshape(len(logits), -1)


def _widened(x: Tensor) -> Tensor:
    return x.detach().to(torch.promote_types(x.dtype, torch.float32))


def _excess(critic: Critic, x: Tensor) -> Tensor:
    """(|slope| - 1)^2; the norm, where it is 0, has gradient 0, as a root would not."""
    return (torch.linalg.vector_norm(slope(critic, x), dim=1) - 1).square()


@dataclass(frozen=True)
class _Weighted:
    """What all of them have.

    Attributes:
        weight: gamma or lambda, >= 0: a number, or a schedule of images seen.

    Raises:
        UsageError: If it is negative.
    """

    weight: float | Schedule

    def __post_init__(self) -> None:
        check_not_negative("penalties.weight", self.weight)


@dataclass(frozen=True)
class R1(_Weighted):
    r"""$\tfrac12 |\nabla D(x)|^2$ at real images (Mescheder et al., 2018, equation 9)."""

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """(B / m,), squared logits per squared input."""
        return slope(critic, real).square().sum(1) / 2


@dataclass(frozen=True)
class R2(_Weighted):
    r"""$\tfrac12 |\nabla D(G(z))|^2$ at generated images (Mescheder et al., 2018, equation 10)."""

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """(B / m,), squared logits per squared input."""
        return slope(critic, fake).square().sum(1) / 2


@dataclass(frozen=True)
class GradientPenalty(_Weighted):
    r"""$(|\nabla D(\hat x)| - 1)^2$ on the lines from real to generated images.

    WGAN-GP (Gulrajani et al., 2017, equation 3), two-sided. Each image draws its own place,
    uniform on its line.
    """

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """(B / m,), squared logits per squared input."""
        return _excess(critic, _between(_widened(real), _widened(fake)))


def _between(one: Tensor, other: Tensor) -> Tensor:
    share = torch.rand(len(one), *[1] * (one.ndim - 1), dtype=one.dtype, device=one.device)
    return one.lerp(other, share)


def _one_sided(real: Tensor) -> Tensor:
    return _between(real, real + 0.5 * real.std() * torch.rand_like(real))


def _two_sided(real: Tensor) -> Tensor:
    return real + real.std() * (torch.rand_like(real) - 0.5)


NOISES = {"one_sided": _one_sided, "two_sided": _two_sided}
"""What DRAGAN makes of real images, by the name of its variant."""


@dataclass(frozen=True)
class DRAGAN(_Weighted):
    r"""$(|\nabla D(\hat x)| - 1)^2$ near real images x (Kodali et al., 2017).

    Programs differ in what near means. With s the deviation of all numbers in the batch and a draw
    u of its own for each number: `one_sided` is the authors' code, $\hat x$ uniform on the line
    from x to $x + \tfrac s2 u$, u in [0, 1); `two_sided` is compare_gan's last version,
    $\hat x = x + s u$, u in [-1/2, 1/2), but for its clipping. The paper's noise is Gaussian.

    Attributes:
        noise: "one_sided" or "two_sided".

    Raises:
        UsageError: If the noise has another name.
    """

    noise: str = "one_sided"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise not in NOISES:
            raise UsageError(f"penalties.noise must be one of {list(NOISES)}, not {self.noise!r}")

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """(B / m,), squared logits per squared input."""
        return _excess(critic, NOISES[self.noise](_widened(real)))
