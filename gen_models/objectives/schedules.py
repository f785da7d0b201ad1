"""Weights that change over training, as functions of the real images shown so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from gen_models.errors import UsageError

Schedule = Callable[[int], float]
"""Maps images seen to a value; where losses are compiled, a tensor () of them to such."""


def _share(images_seen: int, images: float) -> float:
    """Of a way that is `images` long, at most 1."""
    share = images_seen / images
    return share.clamp(max=1.0) if isinstance(share, Tensor) else min(1.0, share)


def _cosine(angle: float) -> float:
    return angle.cos() if isinstance(angle, Tensor) else math.cos(angle)


@dataclass(frozen=True)
class Linear:
    """From start to end in a straight line, and end from there on (Bowman et al., 2016).

    Attributes:
        images: Images seen when the end is reached, > 0.
        start: Value at the first image.
        end: Value from `images` on.

    Example:
        >>> warm_up = Linear(images=1000)
        >>> warm_up(0), warm_up(250), warm_up(5000)
        (0.0, 0.25, 1.0)
    """

    images: int
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        _check_positive("images", self.images)

    def __call__(self, images_seen: int) -> float:
        """The value after so many images."""
        share = _share(images_seen, self.images)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class Cosine:
    """From start to end along half a cosine, and end from there on (Loshchilov & Hutter, 2017).

    Attributes:
        images: Images seen when the end is reached, > 0.
        start: Value at the first image.
        end: Value from `images` on.
    """

    images: int
    start: float = 1.0
    end: float = 0.0

    def __post_init__(self) -> None:
        _check_positive("images", self.images)

    def __call__(self, images_seen: int) -> float:
        """The value after so many images."""
        share = (1 - _cosine(math.pi * _share(images_seen, self.images))) / 2
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class Cyclic:
    """`Linear` again and again, with rest at the end of each cycle (Fu et al., 2019).

    Attributes:
        images: Length of a cycle in images, > 0.
        rising: Share of the cycle in which the value moves, in (0, 1].
        start: Value at the beginning of a cycle.
        end: Value behind the rise.
    """

    images: int
    rising: float = 0.5
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        _check_positive("images", self.images)
        if not 0 < self.rising <= 1:
            raise UsageError(f"schedule.rising must be in (0, 1], not {self.rising}")

    def __call__(self, images_seen: int) -> float:
        """The value after so many images."""
        share = _share(images_seen % self.images, self.images * self.rising)
        return self.start + share * (self.end - self.start)


def at(value: float | Schedule, images_seen: int) -> float:
    """A number as it is, a schedule's value at this time."""
    return value(images_seen) if callable(value) else value


def check_not_negative(name: str, value: float | Schedule) -> None:
    """Refuse a weight below 0, or a schedule that begins or ends there.

    Raises:
        UsageError: Naming the weight.
    """
    ends = (value.start, value.end) if isinstance(value, Linear | Cosine | Cyclic) else (value,)
    for end in ends:
        if not callable(end) and not end >= 0:
            raise UsageError(f"{name} must be 0 or more, not {end}")


def check_taught(prior: nn.Module, name: str, weight: float | Schedule) -> None:
    """Refuse a prior with parameters where the rate, which alone teaches them, weighs 0.

    Raises:
        UsageError: Naming the weight.
    """
    if weight == 0 and any(p.requires_grad for p in prior.parameters()):
        raise UsageError(
            f"model.prior={type(prior).__name__} has parameters, which the rate alone teaches and "
            f"{name}=0 leaves out: set a weight above 0, or model/prior=standard_normal"
        )


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise UsageError(f"schedule.{name} must be above 0, not {value}")
