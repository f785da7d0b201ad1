r"""The generator / discriminator game: two sides, one pair of methods, values per sample.

`real` and `fake` are the discriminator's logits, (B,), never probabilities. Both methods give (B,),
to be minimised by the side that they are named after. The generator's side is handed the real
logits too where `relativistic` says so; it costs a pass, so that it is not done for the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from gen_models.errors import UsageError


class AdversarialObjective(ABC):
    """What a GAN asks of its objective: the losses of the two sides, larger logits meaning real."""

    relativistic: ClassVar[bool] = False
    of_errors: ClassVar[bool] = False
    """Whether a logit is minus a reconstruction error, at most 0."""

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss of each pair, (B,)."""

    @abstractmethod
    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """The generator's loss of each sample, (B,); `real` is None unless relativistic."""

    def measures(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """What else is logged of the logits of a discriminator's turn: scalars by name."""
        return {}


def _classify(real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of telling real (label 1) from fake (label 0), summed over the pair."""
    return softplus(-real) + softplus(fake)


@dataclass(frozen=True)
class NonSaturating(AdversarialObjective):
    r"""D: $-\log\sigma(D(x)) - \log(1-\sigma(D(G(z))))$; G: $-\log\sigma(D(G(z)))$.

    Goodfellow et al. (2014), section 3. At the optimal discriminator its loss is $2\log 2 -
    2\,JSD(p, q)$.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B,), nats."""
        return _classify(real, fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """(B,), nats."""
        return softplus(-fake)


@dataclass(frozen=True)
class Minimax(AdversarialObjective):
    r"""The zero-sum game: G minimises $\log(1-\sigma(D(G(z))))$.

    Goodfellow et al. (2014), equation 1. Its gradient vanishes where the discriminator is sure of
    itself.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B,), nats."""
        return _classify(real, fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """(B,), nats, negative."""
        return -softplus(fake)


@dataclass(frozen=True)
class LeastSquares(AdversarialObjective):
    r"""D: $\tfrac12(D(x)-1)^2 + \tfrac12 D(G(z))^2$; G: $\tfrac12(D(G(z))-1)^2$.

    Mao et al. (2017), equation 9, on linear outputs. The optimal loss is 1/4 where p = q.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B,), squared logits."""
        return 0.5 * (real - 1).square() + 0.5 * fake.square()

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """(B,), squared logits."""
        return 0.5 * (fake - 1).square()


@dataclass(frozen=True)
class Hinge(AdversarialObjective):
    r"""D: $\max(0, 1-D(x)) + \max(0, 1+D(G(z)))$; G: $-D(G(z))$.

    Lim & Ye (2017); Miyato et al. (2018), equations 16 and 17. At the optimal discriminator its
    loss is $2(1 - TV(p, q))$.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B,), logits."""
        return relu(1 - real) + relu(1 + fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """(B,), logits."""
        return -fake


@dataclass(frozen=True)
class Relativistic(AdversarialObjective):
    r"""D: $-\log\sigma(D(x)-D(G(z)))$; G: the same with the roles swapped.

    Jolicoeur-Martineau (2019). Both losses are log 2 where the discriminator cannot tell. It is not
    stable by itself: R3GAN adds R1 and R2 penalties (Huang et al., 2024).
    """

    relativistic: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B,), nats."""
        return softplus(fake - real)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """(B,), nats."""
        assert real is not None
        return softplus(real - fake)


@dataclass(frozen=True)
class Wasserstein(AdversarialObjective):
    r"""D: $D(G(z)) - D(x)$; G: $-D(G(z))$, for a discriminator that is held to be Lipschitz.

    Arjovsky et al. (2017), equation 2. Where its slope is at most K, minus the discriminator's loss
    is at most K times the Wasserstein-1 distance of real and generated inputs. Nothing else bounds
    it: it wants a weight clip (`model=wgan`) or a gradient penalty (`model=wgan_gp`).
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B,), logits."""
        return fake - real

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """(B,), logits."""
        return -fake


class BoundaryEquilibrium(nn.Module, AdversarialObjective):
    r"""D: $L(x) - k\,L(G(z))$; G: $L(G(z))$, L >= 0 the error of an autoencoding discriminator.

    BEGAN (Berthelot et al., 2017, section 3.4). A logit here is -L, as
    `gen_models.networks.AutoencodingTrunk` gives it: larger means real, as everywhere. Each of the
    discriminator's turns in training mode moves k to $k + \lambda\,(\gamma L(x) - L(G(z)))$ within
    [0, 1], which holds the ratio of the two errors at gamma; k is a buffer, kept in checkpoints.

    Args:
        ratio: gamma, error of generated inputs over that of real ones, in (0, 1]: less is sharper
            and less varied.
        rate: lambda, how fast k moves, >= 0.

    Raises:
        UsageError: If one is outside its range.
    """

    k: Tensor
    of_errors: ClassVar[bool] = True

    def __init__(self, ratio: float = 0.75, rate: float = 1e-3) -> None:
        super().__init__()
        if not 0 < ratio <= 1:
            raise UsageError(f"model.objective.ratio must be in (0, 1], not {ratio}")
        if not rate >= 0:
            raise UsageError(f"model.objective.rate must be 0 or more, not {rate}")
        self.ratio, self.rate = ratio, rate
        self.register_buffer("k", torch.zeros(()))

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B,), errors; behind it k moves, in training mode."""
        loss = self.k.clone() * fake - real  # a copy: the loss just made still needs the old k
        if self.training:
            self.k.add_(self.rate * self._balance(real, fake)).clamp_(0, 1)
        return loss

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """(B,), errors."""
        return -fake

    def measures(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        r"""The next k, and "convergence", $L(x) + |\gamma L(x) - L(G(z))|$ of mean errors."""
        return {
            "k": self.k.clone(),
            "convergence": self._balance(real, fake).abs() - real.mean().detach(),
        }

    def _balance(self, real: Tensor, fake: Tensor) -> Tensor:
        return (fake.mean() - self.ratio * real.mean()).detach()

    def recipe(self) -> dict[str, Any]:
        """Plain values that make it again, k at its start."""
        target = "gen_models.objectives.BoundaryEquilibrium"
        return {"_target_": target, "ratio": self.ratio, "rate": self.rate}
