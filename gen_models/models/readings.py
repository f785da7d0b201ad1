"""More to read off a discriminator than one logit: further columns of its last, linear layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from gen_models.models.latent import NetworkFactory, Shape
from gen_models.recipes import build


def widened(*, trunk: NetworkFactory, extra: int, shape: Shape, features: int) -> nn.Module:
    """A trunk with `extra` features more than it is asked for.

    Args:
        trunk: Factory or recipe of the trunk.
        extra: Further features, linear readings of what the trunk's last layer sees.
        shape: (C, H, W) of the images.
        features: What the caller asks for.
    """
    network: nn.Module = build(trunk, "model.trunk")(shape=shape, features=features + extra)
    return network


@contextmanager
def overheard(network: nn.Module) -> Iterator[list[Tensor]]:
    """All that a network puts out for a while, in the order of its calls.

    A `GAN` makes one logit of what its discriminator says; who wants the rest as well need not ask
    it twice. In the discriminator's turn real and generated images are judged last, in this order;
    in the generator's, generated images first.
    """
    said: list[Tensor] = []
    handle = network.register_forward_hook(lambda module, inputs, output: said.append(output))
    try:
        yield said
    finally:
        handle.remove()
