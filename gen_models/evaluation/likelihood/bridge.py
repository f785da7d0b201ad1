r"""The way from a density that is easy to sample to the posterior."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.distributions import Distribution

from gen_models.evaluation.likelihood.hamiltonian import Point
from gen_models.evaluation.likelihood.joint import Joint
from gen_models.evaluation.likelihood.numerics import value_and_slope


@dataclass(frozen=True)
class Bridge:
    """The path from s(z) to p(x, z), whose ratio r is that of the two.

    Attributes:
        joint: p(x, z).
        pixels: (B, C, H, W).
        start: s(z) = q(z | x), batch shape (B,), event shape (D,); None: the prior, for which the
            ratio is p(x | z).
        batch: How many images to decode at a time.
    """

    joint: Joint
    pixels: Tensor
    start: Distribution | None
    batch: int | None

    def draw(self, chains: int) -> Tensor:
        """Draw z ~ s(z), (chains, B, D), by torch's global random state."""
        if self.start is None:
            return self.joint.prior.sample((chains, len(self.pixels)))
        return self.start.sample((chains,))

    def __call__(self, z: Tensor) -> Point:
        """The path at z (C, B, D); the decoder is run and differentiated once."""
        prior, prior_slope = value_and_slope(self.joint.log_prior, z)
        ratio, slope = self.joint.likelihood_slope(z, self.pixels, self.batch)
        if self.start is None:
            return Point(z, prior, ratio, prior_slope, slope)
        log_start = self.start.log_prob
        start, start_slope = value_and_slope(lambda z: log_start(z).to(prior), z)
        return Point(
            z, start, ratio + prior - start, start_slope, slope + prior_slope - start_slope
        )
