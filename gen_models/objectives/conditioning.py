r"""How a discriminator judges an image of a class, and what the class costs beside the game.

Both read the outputs $o$ of one network, (B, 1 + K) for K classes: linear readings of the same
features $\phi(x)$. Costs are values per image, unweighted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor
from torch.nn.functional import cross_entropy

from gen_models.objectives.schedules import check_not_negative


class Conditioning(Protocol):
    """What a conditional GAN asks of it."""

    @property
    def weight(self) -> float:
        """What the costs are multiplied by."""
        ...

    def logits(self, said: Tensor, labels: Tensor) -> Tensor:
        """How real the images are as ones of their classes, (B,), of outputs (B, 1 + K)."""
        ...

    def discriminator(self, real: Tensor, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What the discriminator pays beside its game, by name, (B,) each."""
        ...

    def generator(self, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What the generator pays beside its game, by name, (B,) each."""
        ...


@dataclass(frozen=True)
class Projection:
    r"""Logit $o_0 + o_{1+y} = \psi^T \phi(x) + V_y^T \phi(x)$, and no further cost.

    Miyato & Koyama (2018), equation 3, with a bias for each class. At its optimum under cross
    entropy the logit is $\log p(x|y) - \log q(x|y)$ where p(y) = q(y).
    """

    weight: ClassVar[float] = 0.0

    def logits(self, said: Tensor, labels: Tensor) -> Tensor:
        """(B,), of outputs (B, 1 + K) and labels (B,)."""
        # A copy: a slope in validation keeps the index, which tensors of inference mode refuse.
        return said[:, 0] + said[:, 1:].gather(1, labels[:, None].clone()).squeeze(1)

    def discriminator(self, real: Tensor, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def generator(self, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class AuxiliaryClassifier:
    r"""Logit $o_0$; $o_{1:}$ name the class, $\log p(y|x) = \log \mathrm{softmax}(o_{1:})_y$.

    Odena et al. (2017), equations 2 and 3. The discriminator's classes are learned of real images,
    the generator's images have to be named as asked.

    Attributes:
        weight: Of the cross-entropies, >= 0.
        fake: Whether the discriminator also learns the classes of generated images, as in the
            paper: it then asks for images that are easy to name.
    """

    weight: float = 1.0
    fake: bool = False

    def __post_init__(self) -> None:
        check_not_negative("conditioning.weight", self.weight)

    def logits(self, said: Tensor, labels: Tensor) -> Tensor:
        """(B,), of outputs (B, 1 + K), whatever the labels."""
        return said[:, 0]

    def discriminator(self, real: Tensor, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of the classes of real images, and of generated ones where asked, nats."""
        costs = {"real_class_nats": named(real, labels)}
        return {**costs, "fake_class_nats": named(fake, labels)} if self.fake else costs

    def generator(self, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of the classes of generated images, nats."""
        return {"fake_class_nats": named(fake, labels)}


def named(said: Tensor, labels: Tensor) -> Tensor:
    """-log p(y | x) of outputs (B, 1 + K) at labels (B,), (B,), nats."""
    return cross_entropy(said[:, 1:], labels, reduction="none")
