"""The conditional GAN: generator and discriminator are told the class."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from gen_models.distributions import StandardNormal
from gen_models.errors import UsageError
from gen_models.models.adversary import Charge, widened
from gen_models.models.gan import GAN
from gen_models.models.labelled import ClassConditional, with_classes
from gen_models.models.latent import NetworkFactory, made_objective
from gen_models.objectives.conditioning import Conditioning, Projection


class ConditionalGAN(ClassConditional, GAN):
    r"""The game over images with labels y: $p(x|y)$ against $q(x|y) = \int p(z)\,q(x|z,y)\,dz$.

    Mirza & Osindero (2014), with the discriminator of Miyato & Koyama (2018) or of Odena et al.
    (2017). The generator's latents are z and one-hot y in one vector. Generated images take the
    labels of the real ones beside them, so that q(y) = p(y) without a model of y, and penalties see
    the critic at these labels; images without labels are drawn with the training images' shares.

    The discriminator is one trunk with a feature more for each class: where it is spectrally
    normalised, its last layer is so as a whole.

    Args:
        latent_dim: D; the generator sees D plus the number of classes.
        generator: Factory of the generator, called with `latent_dim`, `shape` and, where it has
            such an argument, `num_classes`.
        trunk: Factory of the discriminator, called with `shape` and `features` = 1 + classes.
        num_classes: How many classes the data have.
        prior: Factory of p(z), called with `latent_dim`.
        conditioning: What the discriminator's outputs mean; `Projection` by default.
        **options: Further arguments of `GAN`.

    Raises:
        UsageError: If the data have no labels; if images are packed, which have labels of their
            own.
    """

    labelled: ClassVar[bool] = True

    def __init__(
        self,
        *,
        latent_dim: int,
        generator: NetworkFactory,
        trunk: NetworkFactory,
        num_classes: int | None = None,
        prior: NetworkFactory = StandardNormal,
        conditioning: Conditioning | None = None,
        **options: Any,
    ) -> None:
        given = {
            "latent_dim": latent_dim,
            "generator": generator,
            "trunk": trunk,
            "num_classes": num_classes,
            "prior": prior,
            "conditioning": conditioning,
        }
        if num_classes is None:
            raise UsageError("a conditional GAN needs labels, and the data have none: model=gan")
        super().__init__(
            trunk=partial(widened, trunk=trunk, extra=num_classes),
            **with_classes(
                classes=num_classes, latent_dim=latent_dim, generator=generator, prior=prior
            ),
            **options,
        )
        self.remember(given)
        if self.packing > 1:
            raise UsageError("model.packing must be 1: images judged as one may differ in class")
        self.num_classes = num_classes
        self.conditioning: Conditioning = made_objective(conditioning, Projection(), "logits")

    def fake(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the discriminator is shown of the generator: a scaled image of each label (B,)."""
        assert labels is not None
        return self.scaler(self.pixels(self.generator(self.seen(self.latents(labels)))))

    def logits(self, said: Tensor, labels: Tensor | None = None) -> Tensor:
        """How real images of these labels (B,) are held to be, (B,), of what was said of them."""
        assert labels is not None
        return self.conditioning.logits(said, labels)

    def further(
        self, fake: Tensor, real: Tensor | None, labels: Tensor | None
    ) -> dict[str, Charge]:
        """What the classes cost, of what is said (B, 1 + classes) and the labels (B,)."""
        assert labels is not None
        rules = self.conditioning
        costs = (
            rules.generator(fake, labels)
            if real is None
            else rules.discriminator(real, fake, labels)
        )
        return {name: Charge(rules.weight, cost.mean()) for name, cost in costs.items()}
