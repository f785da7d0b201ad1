"""Samples beside real images as one extractor sees them, and what several instruments share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.extractors.features import Features
from gen_models.evaluation.rows import shuffle, taken
from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.evaluation.statistics.frechet import Moments, frechet_estimate
from gen_models.evaluation.statistics.pairs import Pairs
from gen_models.evaluation.statistics.selection import not_finite

NEIGHBOURS = 5
"""The most that an instrument asks for."""

T = TypeVar("T")


@dataclass(eq=False)
class Comparison:
    """Two sets of features, of one extractor; whatever is made of both is made once.

    Instruments are functions of it, and so are their floors and ceilings: those of the same
    comparison with something known in the place of the samples.

    Attributes:
        real: Of the images that are measured on, (N, D).
        fake: Of the samples, (M, D).
        train: Gives those of the training images; None where there are none.
        labels: (N,) classes of the real images, or None.

    Raises:
        UsageError: If the sets cannot be compared.
    """

    real: Features
    fake: Features
    train: Callable[[], Features] | None = None
    labels: Tensor | None = None
    _made: dict[Hashable, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.real.extractor != self.fake.extractor:
            raise UsageError(
                f"features of {self.real.extractor or 'no name'} and of "
                f"{self.fake.extractor or 'no name'} have no distance; use one extractor for both"
            )
        if self.real.features.shape[1:] != self.fake.features.shape[1:]:
            raise UsageError(
                f"features of {self.real.features.shape[1]} and {self.fake.features.shape[1]} "
                "dimensions have no distance"
            )
        for name, features in (("real", self.real.features), ("fake", self.fake.features)):
            bad = not_finite(features)
            if len(bad):
                raise UsageError(f"{name} image {int(bad[0])} has features that are not finite")

    @cached_property
    def moments(self) -> Moments:
        """Of the real features."""
        return Moments.of(self.real.features)

    @cached_property
    def frechet(self) -> Estimate:
        """The Fréchet distance."""
        return frechet_estimate(real=self.moments, fake=self.fake.features)

    @cached_property
    def shuffled(self) -> Tensor:
        """Features of the samples in random order: blocks of a jackknife are to be alike."""
        return taken(self.fake.features, shuffle(len(self.fake.features), seed=0))

    @cached_property
    def pairs(self) -> Pairs:
        """All that pairwise distances and kernels say."""
        return Pairs.of(real=self.real.features, fake=self.shuffled, neighbours=NEIGHBOURS)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made the first time that it is asked for under this key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @property
    def learned(self) -> Tensor:
        """Features of the training images.

        Raises:
            UsageError: If there are none.
        """
        if self.train is None:
            raise UsageError("needs training images")
        return self.train().features

    @property
    def logits(self) -> Tensor:
        """(M, K), class scores of the samples.

        Raises:
            UsageError: If the extractor has no classes.
        """
        if self.fake.logits is None:
            raise UsageError("the extractor has no classifier of labelled classes")
        return self.fake.logits
