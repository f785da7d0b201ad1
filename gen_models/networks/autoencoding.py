"""A discriminator that judges images by how well it can write them down."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gen_models.errors import UsageError
from gen_models.networks.layers import Shape, at_least_one


class AutoencodingTrunk(nn.Module):
    """Images (B, C, H, W) to minus the mean absolute error of their reconstructions, (B, 1).

    The discriminator of BEGAN (Berthelot et al., 2017, section 3.1): larger means real, and 0 is a
    perfect reconstruction. The decoder's output is the image on its own scale, whichever it is.
    Gradients flow through the image and through its reconstruction.

    Args:
        shape: (C, H, W) of the images.
        features: 1: it has nothing else to say.
        code: Numbers that an image is written down in.
        trunk: Factory of the encoder, called with `shape` and `features`.
        generator: Factory of the decoder, called with `latent_dim` and `shape`. One without batch
            statistics: real and generated images are judged apart.

    Raises:
        UsageError: If more features are asked for, as an encoder or a conditional discriminator
            does.
    """

    gives_errors = True

    def __init__(
        self,
        shape: Shape,
        features: int,
        trunk: Callable[..., nn.Module],
        generator: Callable[..., nn.Module],
        code: int = 64,
    ) -> None:
        super().__init__()
        if features != 1:
            raise UsageError(
                f"model/trunk=autoencoding gives 1 number an image, not {features}: it serves a "
                "GAN's discriminator alone; choose another trunk"
            )
        at_least_one("code", code)
        self.encoder = trunk(shape=shape, features=code)
        self.decoder = generator(latent_dim=code, shape=shape)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 1), at most 0, in the unit of the scaled images."""
        return -(self.decoder(self.encoder(x)) - x).abs().flatten(1).mean(1, keepdim=True)
