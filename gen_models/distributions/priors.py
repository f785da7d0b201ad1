"""Priors p(z): called with nothing, they give a distribution over latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from gen_models.distributions.flows import Flow, FlowDistribution
from gen_models.distributions.normal import Standard


class Prior(nn.Module):
    """p(z) over D latents. Leaves say which distribution; sampling is here."""

    def bind(
        self,
        encoder: Callable[[Tensor], Distribution],
        shape: tuple[int, ...],
        scaler: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Meet the model: called once, before it is trained or loaded.

        Args:
            encoder: q(z | x) of scaled images (B, C, H, W); stays the model's, which owns its
                parameters.
            shape: (C, H, W) of the images.
            scaler: Maps pixels in [0, 1] to what the encoder sees; None: the identity.
        """

    def forward(self) -> Distribution:
        """The distribution over z, batch shape (), event shape (D,)."""
        raise AssertionError("a prior says what its distribution is")

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw z ~ p(z).

        Args:
            count: How many.
            generator: Where the randomness comes from, on any device; torch's global state by
                default, which is not touched otherwise.

        Returns:
            (count, D).
        """
        held = next(chain(self.parameters(), self.buffers()), torch.empty(0))
        with _seeded(held.device, generator):
            return self().sample((count,))


GENERATORS: dict[str, Callable[[torch.device], torch.Generator]] = {
    "cuda": lambda device: torch.cuda.default_generators[device.index],
    "mps": lambda _: torch.mps._get_default_mps_generator(),
}


@contextmanager
def _seeded(device: torch.device, generator: torch.Generator | None) -> Iterator[None]:
    """For a while, torch's global randomness on a device follows from a generator.

    Torch's distributions take no generator; torch.manual_seed would reseed every device.
    """
    if generator is None:
        yield
        return
    default = GENERATORS.get(device.type)
    source = torch.default_generator if default is None else default(device)
    state = source.get_state()
    seed = torch.randint(2**63 - 1, (), generator=generator, device=generator.device)
    source.manual_seed(int(seed.item()))
    try:
        yield
    finally:
        source.set_state(state)


class StandardNormal(Prior):
    """The prior N(0, I) over z.

    Args:
        latent_dim: D, the number of latent variables.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("mean", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("deviation", torch.ones(latent_dim), persistent=False)

    def forward(self) -> Distribution:
        """The distribution over z, event shape (D,)."""
        return Standard(Normal(self.mean, self.deviation, validate_args=False))

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw z ~ p(z).

        Args:
            count: How many.
            generator: Where the randomness comes from; torch's global state by default.

        Returns:
            (count, D).
        """
        device = self.mean.device if generator is None else generator.device
        z = torch.randn(count, self.latent_dim, generator=generator, device=device)
        return z.to(self.mean.device)


class FlowPrior(Prior):
    """N(0, I) carried by autoregressive splines (Durkan et al., 2019); N(0, I) at the start.

    The maps lead from z to noise, so that the density of any z, which training and annealed
    importance sampling ask for at every step, takes one pass, and drawing takes D passes each.
    Outside [-5, 5] they are the identity: the tails are the normal ones.

    Args:
        latent_dim: D.
        transforms: How many maps, >= 1.
        hidden: Width of the two hidden layers of each map's network, >= 1.

    Raises:
        UsageError: If a number is out of range.
    """

    def __init__(self, latent_dim: int, transforms: int = 3, hidden: int = 128) -> None:
        super().__init__()
        self.base = StandardNormal(latent_dim)
        self.flow = Flow(latent_dim, "spline", transforms, hidden, 0, "prior")

    def forward(self) -> Distribution:
        """The flow's distribution over z, event shape (D,)."""
        return FlowDistribution(self.base(), self.flow(None).inv, self.flow)
