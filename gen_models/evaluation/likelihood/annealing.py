r"""log p(x) by annealed importance sampling, from below, and from above where z is known.

Chains walk from a density that is easy to sample to the posterior, through
$f_\beta(z) = s(z)^{1-\beta}\,p(x, z)^\beta$; s is the prior, or an encoder's q(z | x). The weights
that they gather on the way are unbiased for p(x), however badly they mix (Neal, 2001), so that the
log of their mean is a lower bound. The same walk backwards from an exact draw of the posterior
gives an upper bound (Grosse et al., 2015): images that the model has drawn itself have one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor
from torch.distributions import Distribution

from gen_models.errors import UsageError
from gen_models.evaluation.likelihood.bridge import Bridge
from gen_models.evaluation.likelihood.hamiltonian import Point, transition
from gen_models.evaluation.likelihood.joint import Joint
from gen_models.evaluation.likelihood.numerics import (
    LogMean,
    at_least,
    refuse_infinite,
    seeded,
)
from gen_models.evaluation.likelihood.pace import Pace, geometric, sigmoid

Progress = Callable[[int, int], None]
"""Called with the transitions done and their number, after each."""

FIRST_STEP = 1.0
"""In units of z, before tuning."""
TUNING_GAIN = 0.5
"""The change of the log of the step per unit of acceptance too much."""


@dataclass(frozen=True)
class Annealing:
    """How to anneal: as Wu et al. (2017), section 4, for any decoder, but for the stops.

    Attributes:
        temperatures: T, densities on the way from beta > 0 to the posterior.
        chains: C, for each image; all chains of all images walk at once.
        leapfrogs: Gradients of the decoder for each transition.
        tuning: Transitions of the preliminary run that chooses steps and stops.
        acceptance: What the steps are tuned for, in (0, 1); a run's own comes near it.
        stops: Where the temperatures lie: `fitted` to the preliminary run (see `pace`), or
            `sigmoid`, the schedule of Wu et al., the same for every model.
        batch: How many images to decode at a time; all chains of all images by default. It moves
            memory and time, and the result by no more than rounding.

    Raises:
        UsageError: If a number is out of its range.
    """

    temperatures: int = 1000
    chains: int = 16
    leapfrogs: int = 10
    tuning: int = 100
    acceptance: float = 0.65
    stops: str = "fitted"
    batch: int | None = None

    def __post_init__(self) -> None:
        for name in ("temperatures", "chains", "leapfrogs", "tuning"):
            at_least(f"annealing.{name}", getattr(self, name))
        at_least("annealing.batch", 1 if self.batch is None else self.batch)
        if self.stops not in ("fitted", "sigmoid"):
            raise UsageError(f"annealing.stops={self.stops}: choices are fitted, sigmoid")
        if not 0 < self.acceptance < 1:
            raise UsageError(
                f"annealing.acceptance must lie between 0 and 1, not {self.acceptance}"
            )


@dataclass(frozen=True)
class Annealed:
    """What the chains have found, of each image.

    Attributes:
        latents: (C, B, D), where the chains end: draws of the posterior, weighted by the weights.
        log_weights: (C, B), nats, float64.
        acceptance: (B,), share of trajectories accepted, all chains and temperatures.
        pace: The steps of the leapfrog at their longest, and the stops; frozen before the run.
        upper: (B,), nats: upper bound on log p(x) in expectation; None where z is not known.
    """

    latents: Tensor
    log_weights: Tensor
    acceptance: Tensor
    pace: Pace
    upper: Tensor | None = None

    @property
    def lower(self) -> Tensor:
        """(B,), nats: log of the mean weight, in expectation at most log p(x)."""
        return LogMean.of(self.log_weights).value

    @property
    def effective(self) -> Tensor:
        """(B,), effective sample size, 1 to C chains."""
        return LogMean.of(self.log_weights).effective


@torch.no_grad()
def annealed(
    joint: Joint,
    pixels: Tensor,
    annealing: Annealing,
    generator: torch.Generator,
    *,
    start: Distribution | None = None,
    progress: Progress | None = None,
) -> Annealed:
    r"""Lower bounds on log p(x): $\log \frac1C \sum_c w_c$ (Neal, 2001).

    $\log w = \sum_t (\beta_t - \beta_{t-1}) \log r(z_{t-1})$ with r = p(x, z) / s(z).

    Args:
        joint: p(x, z).
        pixels: (B, C, H, W).
        annealing: The protocol.
        generator: Where all randomness comes from; torch's global state is left as it was.
        start: q(z | x), batch shape (B,), to start from; the prior by default.
        progress: Called after each transition.

    Raises:
        UsageError: If the decoder's output is not finite where the chains start.
    """
    path = Bridge(joint, pixels, start, annealing.batch)
    run = _Run(path, annealing, generator, progress, runs=1)
    return run.forward(run.tuned())


@torch.no_grad()
def bidirectional(
    joint: Joint,
    pixels: Tensor,
    latents: Tensor,
    annealing: Annealing,
    generator: torch.Generator,
    *,
    start: Distribution | None = None,
    progress: Progress | None = None,
) -> Annealed:
    r"""Both bounds on log p(x), of images whose latents are known (Grosse et al., 2015).

    z and x drawn together make z an exact draw of p(z | x). From there the walk backwards has
    weights that are unbiased for 1 / p(x), so that $-\log \frac1C \sum_c 1 / w_c$ is an upper bound
    in expectation. What lies between the bounds is the error of the method on this model.

    Args:
        joint: p(x, z).
        pixels: (B, C, H, W), from `Joint.simulate`.
        latents: (B, D), what they were drawn from.
        annealing: The protocol of both directions.
        generator: Where all randomness comes from.
        start: q(z | x), batch shape (B,), to start from; the prior by default.
        progress: Called after each transition.

    Raises:
        UsageError: As `annealed`.
    """
    path = Bridge(joint, pixels, start, annealing.batch)
    run = _Run(path, annealing, generator, progress, runs=2)
    found = run.forward(run.tuned())
    return replace(found, upper=run.backward(latents, found.pace))


@dataclass
class _Run:
    """The preliminary run and the measured ones, on one stream of random numbers."""

    path: Bridge
    annealing: Annealing
    generator: torch.Generator
    progress: Progress | None
    runs: int
    done: int = 0

    def tuned(self) -> Pace:
        """Steps and stops, of a short walk whose steps are held to their acceptance.

        They are frozen afterwards: a step that hangs on the chain's own past breaks the weights.
        """
        # One chain alone would not say how much log r varies.
        point = self.started(max(2, self.annealing.chains))
        log_step = torch.full((len(self.path.pixels),), FIRST_STEP).log().to(point.start)
        betas, walked, ratios = geometric(self.annealing.tuning), [], [point.ratio]
        for beta in betas[1:]:
            point, accepted = self.move(point, beta, log_step.exp())
            log_step = log_step + TUNING_GAIN * (accepted - self.annealing.acceptance)
            walked.append(log_step)
            ratios.append(point.ratio)
        return Pace.fitted(betas, torch.stack(walked), torch.stack(ratios))

    def forward(self, pace: Pace) -> Annealed:
        """From the start to the posterior."""
        point = self.started(self.annealing.chains)
        log_weights, accepted = torch.zeros_like(point.ratio), torch.zeros_like(pace.scale)
        for last, beta in pairwise(self.stops(pace)):
            log_weights += (beta - last) * point.ratio
            point, share = self.move(point, beta, pace.step(beta))
            accepted += share
        return Annealed(point.z, log_weights, accepted / self.annealing.temperatures, pace)

    def backward(self, latents: Tensor, pace: Pace) -> Tensor:
        """Upper bounds (B,), by walks from latents (B, D) that are draws of the posterior."""
        point = self.path(latents.expand(self.annealing.chains, -1, -1))
        log_inverse = torch.zeros_like(point.ratio)
        for beta, last in pairwise(reversed(self.stops(pace))):
            point, _ = self.move(point, beta, pace.step(beta))
            log_inverse -= (beta - last) * point.ratio
        return -LogMean.of(log_inverse).value

    def stops(self, pace: Pace) -> list[float]:
        """From 0 to 1."""
        count = self.annealing.temperatures
        return sigmoid(count) if self.annealing.stops == "sigmoid" else pace.stops(count)

    def started(self, chains: int) -> Point:
        """Chains at draws of the start."""
        with seeded(self.generator):
            z = self.path.draw(chains)
        point = self.path(z)
        # A chain at density 0 has no gradient to leave by.
        refuse_infinite(point.ratio.abs(), "the weight")
        return point

    def move(self, point: Point, beta: float, step: Tensor) -> tuple[Point, Tensor]:
        """One transition of all chains, and the mean acceptance of each image, (B,)."""
        step = step.to(point.z)
        leapfrogs, generator = self.annealing.leapfrogs, self.generator
        point, acceptance = transition(self.path, point, beta, step, leapfrogs, generator)
        self.done += 1
        if self.progress is not None:
            total = self.annealing.tuning + self.runs * self.annealing.temperatures
            self.progress(self.done, total)
        return point, acceptance.mean(0)
