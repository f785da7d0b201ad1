r"""The generator / discriminator game: two sides, one pair of methods, values per sample.

`real` and `fake` are the discriminator's logits, (B,), never probabilities. Both methods give (B,),
to be minimised by the side that they are named after. The generator's side is handed the real
logits too where `relativistic` says so; it costs a pass, so that it is not done for the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor
from torch.nn.functional import relu, softplus


class AdversarialObjective(Protocol):
    """What a GAN asks of its objective."""

    relativistic: ClassVar[bool]

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss of each pair, (B,)."""
        ...

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """The generator's loss of each sample, (B,); `real` is None unless relativistic."""
        ...


def _classify(real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of telling real (label 1) from fake (label 0), summed over the pair."""
    return softplus(-real) + softplus(fake)


@dataclass(frozen=True)
class NonSaturating:
    r"""D: $-\log\sigma(D(x)) - \log(1-\sigma(D(G(z))))$; G: $-\log\sigma(D(G(z)))$.

    Goodfellow et al. (2014), section 3. At the optimal discriminator its loss is $2\log 2 -
    2\,JSD(p, q)$.
    """

    relativistic: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B,), nats."""
        return _classify(real, fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """(B,), nats."""
        return softplus(-fake)


@dataclass(frozen=True)
class Minimax:
    r"""The zero-sum game: G minimises $\log(1-\sigma(D(G(z))))$.

    Goodfellow et al. (2014), equation 1. Its gradient vanishes where the discriminator is sure of
    itself.
    """

    relativistic: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B,), nats."""
        return _classify(real, fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """(B,), nats, negative."""
        return -softplus(fake)


@dataclass(frozen=True)
class LeastSquares:
    r"""D: $\tfrac12(D(x)-1)^2 + \tfrac12 D(G(z))^2$; G: $\tfrac12(D(G(z))-1)^2$.

    Mao et al. (2017), equation 9, on linear outputs. The optimal loss is 1/4 where p = q.
    """

    relativistic: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B,), squared logits."""
        return 0.5 * (real - 1).square() + 0.5 * fake.square()

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """(B,), squared logits."""
        return 0.5 * (fake - 1).square()


@dataclass(frozen=True)
class Hinge:
    r"""D: $\max(0, 1-D(x)) + \max(0, 1+D(G(z)))$; G: $-D(G(z))$.

    Lim & Ye (2017); Miyato et al. (2018), equations 16 and 17. At the optimal discriminator its
    loss is $2(1 - TV(p, q))$.
    """

    relativistic: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B,), logits."""
        return relu(1 - real) + relu(1 + fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """(B,), logits."""
        return -fake


@dataclass(frozen=True)
class Relativistic:
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
