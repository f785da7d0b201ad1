"""BiGAN and ALI: a GAN with an encoder, its discriminator judges images beside latents."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.utils import parametrize

from gen_models.capabilities import Infers, Reconstructs
from gen_models.distributions import DiagonalGaussian
from gen_models.errors import UsageError
from gen_models.models.adversary import in_full, pack, whole_packs
from gen_models.models.average import ExponentialAverage
from gen_models.models.gan import GAN
from gen_models.models.latent import NetworkFactory, Shape
from gen_models.models.phase import Phase
from gen_models.modes import evaluating, unmoved
from gen_models.objectives.adversarial import AdversarialObjective
from gen_models.recipes import build


class BiGAN(GAN, Reconstructs):
    r"""Tells real pairs (x, E(x)) from generated ones (G(z), z).

    Donahue et al. (2017), equation 3. Where nothing can be told, the two joint laws are one: G's
    images are the data's, and E inverts G. Generator and encoder share a turn: each wants its own
    pairs to be taken for the other's.

    Args:
        encoder: Factory of E's trunk, called with `shape` and `features`.
        joint: Factory of the discriminator, called with `shape`, `latent_dim`, `features=1` and
            `trunk`; it maps (B, C, H, W) and (B, D) to (B, 1).
        trunk: Factory of the discriminator's trunk, which sees the image.
        posterior: Factory of the head of q(z | x), called with `latent_dim`, for `ALI`; None: E(x)
            is a point.
        **options: Arguments of `GAN`. Augmentation is of images, and packs are of pairs.

    Raises:
        UsageError: If the objective is another game where the roles are swapped.
    """

    def __init__(
        self,
        *,
        encoder: NetworkFactory,
        joint: NetworkFactory,
        trunk: NetworkFactory,
        posterior: NetworkFactory | None = None,
        **options: Any,
    ) -> None:
        arguments = dict(locals())
        del arguments["options"]
        latents = options["latent_dim"] * options.get("packing", 1)
        judge = partial(judge_of_pairs, joint=joint, trunk=trunk, latent_dim=latents)
        super().__init__(trunk=judge, **options)
        self.remember(arguments)
        self.encoder = self._encoder(
            build(encoder, "model.encoder"), build(posterior, "model.posterior")
        )
        half_life = options.get("ema_half_life")
        self.encoder_average = (
            None if half_life is None else ExponentialAverage(self.encoder, half_life)
        )
        self.swap = mirror(self.objective)

    def _encoder(self, trunk: NetworkFactory, posterior: NetworkFactory | None) -> nn.Module:
        if posterior is None:
            return trunk(shape=self.shape, features=self.latent_dim)
        head: Any = posterior(latent_dim=self.latent_dim)
        return nn.Sequential(trunk(shape=self.shape, features=head.features), head)

    def phases(self) -> list[Phase]:
        """The discriminator, then the generator and the encoder."""
        discriminator, generator = super().phases()
        moved = [*generator.parameters, *self.encoder.parameters()]
        return [discriminator, replace(generator, parameters=moved)]

    def after_iteration(self, images: int) -> None:
        """Let the averages follow generator and encoder."""
        super().after_iteration(images)
        if self.encoder_average is not None:
            self.encoder_average.update(self.encoder, images)

    def code(self, x: Tensor) -> Any:
        """E(x) of scaled images (B, C, H, W): (B, D), or a distribution of batch shape (B,).

        By the averaged encoder in evaluation mode.
        """
        average = None if self.training else self.encoder_average
        return self.encoder(x) if average is None else average(x)

    def encode(self, x: Tensor) -> Tensor:
        """Latents (B, D) of scaled images (B, C, H, W): E(x), or a draw; never by the average."""
        code = self.encoder(x)
        return code if isinstance(code, Tensor) else code.rsample()

    def real(self, x: Tensor) -> Tensor:
        """The pairs (x, E(x)) of scaled images (B, C, H, W), flat: (B, C H W + D)."""
        return beside(x, self.encode(x))

    def fake(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """As many pairs (G(z), z), z ~ p(z), as there are images in x."""
        z = self.sample_prior(len(x))
        return beside(self.scaler(self.pixels(self.generator(self.seen(z)))), z)

    def judge(self, shown: Tensor) -> Tensor:
        """What the discriminator says of flat pairs (B, C H W + D): (B / packing, 1)."""
        flat, z = shown.split([shown.shape[1] - self.latent_dim, self.latent_dim], dim=1)
        x = self.augment(flat.unflatten(1, self.shape))
        return in_full(self.discriminator(pack(x, self.packing), pack(z, self.packing)))

    def generator_loss(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Both sides' losses, "loss": generated pairs taken for real ones, and real for generated.

        Args:
            x: (B, C, H, W), scaled images.
            labels: Not looked at.
        """
        x = whole_packs(x, self.packing)
        with unmoved(self.discriminator), parametrize.cached():
            shown = self.real(x), self.fake(x)
            real, fake = (self.logits(self.judge(each)) for each in shown)
        loss = self.objective.generator(real, fake)
        if not self.objective.relativistic:  # which pulls on both logits already
            loss = loss + self.objective.generator(None, self.swap - real)
        return {"loss": loss.mean()}

    @torch.no_grad()
    def reconstruct(self, pixels: Tensor) -> Tensor:
        """G(E(x)), at E's mean, pixels (B, C, H, W) of pixels (B, C, H, W)."""
        with evaluating(self):
            code = self.code(self.scaler(pixels))
            return self.decode(code if isinstance(code, Tensor) else code.mean)


class ALI(BiGAN, Infers):
    """BiGAN with a posterior for its encoder (Dumoulin et al., 2017, equation 2).

    Where nothing can be told, q(z | x) is the posterior p(z | x) of the generator.

    Args:
        posterior: Factory of the head of q(z | x), called with `latent_dim`.
        **options: Arguments of `BiGAN`.
    """

    def __init__(self, *, posterior: NetworkFactory = DiagonalGaussian, **options: Any) -> None:
        super().__init__(posterior=posterior, **options)

    @torch.no_grad()
    def infer(self, pixels: Tensor) -> Distribution:
        """q(z | x) of pixels (B, C, H, W): batch shape (B,), event shape (D,)."""
        with evaluating(self):
            return self.code(self.scaler(pixels))


def judge_of_pairs(
    joint: NetworkFactory, trunk: NetworkFactory, latent_dim: int, shape: Shape, features: int
) -> nn.Module:
    """The network of pairs around the trunk of images."""
    sizes = {"shape": shape, "latent_dim": latent_dim, "features": features}
    return build(joint, "model.joint")(**sizes, trunk=build(trunk, "model.trunk"))


def beside(x: Tensor, z: Tensor) -> Tensor:
    """Images (B, C, H, W) and latents (B, D) as one tensor (B, C H W + D)."""
    return torch.cat([x.flatten(1), z], dim=1)


def mirror(game: AdversarialObjective) -> float:
    r"""The s by which a game stays itself where its roles are swapped.

    $d(s - f, s - r) = d(r, f)$ for the discriminator's loss d of logits r and f: so the encoder,
    which makes what counts as real, has the generator's loss of s - r. s is 0 where the sign of a
    logit decides, 1 where its targets are 0 and 1.

    Raises:
        UsageError: If it is neither.
    """
    real, fake = torch.tensor([-1.7, 0.2, 0.9, 2.3]), torch.tensor([0.4, -2.1, 1.3, 0.6])
    for swap in (0.0, 1.0):
        if torch.allclose(
            game.discriminator(swap - fake, swap - real), game.discriminator(real, fake)
        ):
            return swap
    raise UsageError(
        f"model.objective={type(game).__name__} is another game with real and fake swapped, so "
        "that an encoder has no side in it: choose another model/objective"
    )
