"""A generator without encoder or discriminator, taught by the energy distance."""

import torch
from torch import Tensor

from gen_models.models import LatentVariableModel, Phase
from gen_models.recipes import build


class EnergyModel(LatentVariableModel):
    """2 E|x - y| - E|x - x'| - E|y - y'|, samples x and images y (Székely & Rizzo, 2013)."""

    def __init__(self, *, shape, latent_dim, generator, optimizer, scaler=None):
        arguments = locals()
        super().__init__(shape=shape, latent_dim=latent_dim, generator=generator, scaler=scaler)
        self.remember(arguments)  # from which checkpoints are loaded again
        self.optimizer = build(optimizer)

    def phases(self) -> list[Phase]:
        return [Phase("energy", self.loss, list(self.generator.parameters()), self.optimizer)]

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        drawn = self.pixels(self.generator(self.sample_prior(len(x)))).flatten(1)
        images = self.scaler.inverse(x).flatten(1)
        apart = torch.cdist(drawn, images).mean()
        # Over pairs: the distance of an image to itself is none of two draws.
        pairs = [torch.nn.functional.pdist(set_).mean() for set_ in (drawn, images)]
        return {"loss": 2 * apart - sum(pairs)}
