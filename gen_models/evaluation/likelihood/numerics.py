"""What the estimators share: float64, gradients by z alone, randomness of their own, log means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from gen_models.errors import UsageError


def double(values: Tensor) -> Tensor:
    """In float64; on the CPU where the device (MPS) has none."""
    return values.cpu().double() if values.device.type == "mps" else values.double()


def value_and_slope(function: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """A function of latents and its gradient, each latent apart; parameters get no gradient.

    Args:
        function: z (..., D) to (...), where each value hangs on its own latent alone.
        z: (..., D).

    Returns:
        Values (...) and gradients (..., D), detached.
    """
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        values = function(z)
        (slope,) = torch.autograd.grad(values.sum(), z)
    return values.detach(), slope


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Torch's global random state seeded from the generator for a while, then as it was.

    Torch's distributions take no generator; so their draws depend on it and on nothing else.
    """
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(int(seed))
        yield


class LogMean(NamedTuple):
    """Running sums of weights over draws, on the scale of logarithms: any number, in any blocks.

    Attributes:
        draws: How many weights, K.
        log_sum: (B,), log of their sum, nats, float64.
        log_squares: (B,), log of the sum of their squares.
    """

    draws: int
    log_sum: Tensor
    log_squares: Tensor

    @classmethod
    def of(cls, log_weights: Tensor) -> LogMean:
        """Of log weights (K, B), nats."""
        return cls(
            len(log_weights),
            torch.logsumexp(log_weights, 0),
            torch.logsumexp(2 * log_weights, 0),
        )

    def __or__(self, other: LogMean) -> LogMean:
        """Of the weights of both."""
        return LogMean(
            self.draws + other.draws,
            torch.logaddexp(self.log_sum, other.log_sum),
            torch.logaddexp(self.log_squares, other.log_squares),
        )

    @property
    def value(self) -> Tensor:
        """Log of the mean weight, (B,), nats."""
        return self.log_sum - math.log(self.draws)

    @property
    def effective(self) -> Tensor:
        r"""Effective sample size $(\sum w)^2 / \sum w^2$, (B,), 1 to K; 0 where all weights are 0.

        Kong (1992). A value near 1 says that one draw decides and the mean is not to be trusted.
        """
        return (2 * self.log_sum - self.log_squares).exp().nan_to_num(0.0)


def refuse_infinite(values: Tensor, what: str) -> Tensor:
    """The values (K, B), if each is a number or minus infinity (a density of 0).

    Raises:
        UsageError: If one is NaN or plus infinity, naming the image.
    """
    bad = values.isnan() | (values == torch.inf)
    if bad.any():
        image = int(bad.any(0).nonzero()[0])
        raise UsageError(
            f"{what} of image {image} is not finite: the image, or what the decoder or the encoder "
            "makes of it, is not; look at the data and the training"
        )
    return values


def at_least(name: str, value: int, least: int = 1) -> None:
    """Refuse a count that is too small.

    Raises:
        UsageError: If it is below `least`.
    """
    if value < least:
        raise UsageError(f"{name} must be {least} or more, not {value}")
