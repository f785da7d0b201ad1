"""Judges that took no part in training, the same for every family of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from gen_models.capabilities import Samples
from gen_models.errors import UsageError
from gen_models.evaluation.comparison import Comparison
from gen_models.evaluation.critic import Critic
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.instrument import OF, Instrument, Row
from gen_models.evaluation.measurements.measurement import Measurement, blank, filled
from gen_models.evaluation.probe import made_by
from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.evaluation.statistics.two_sample import linear, neighbours, told_apart
from gen_models.evaluation.store import source_digest
from gen_models.records import Anchor, Value


@dataclass(frozen=True)
class ClassifierTwoSample(Instrument):
    """How well classifiers of features tell samples from real images.

    Attributes:
        images: Of either side at most, half to learn from and half to be judged.
        seed: Of the halves.
    """

    images: int = 5000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.images < 4:
            raise UsageError(f"two_sample.images must be 4 or more, not {self.images}")

    def how(self, evidence: Evidence) -> str:
        """How many are judged."""
        judged = min(evidence.samples, len(evidence.real.images), self.images) // 2
        return f"; {judged} of either side learned from and {judged} judged, seed {self.seed}"

    def rows(self) -> Sequence[Row]:
        """A line between them, and neighbours."""
        row = partial(
            Row,
            unit="share of images named rightly, 1/2 by chance",
            better="lower",
            aspect="distance",
            interval="95 %, binomial, over judged images",
            bounds=(0, 1),
        )
        return [
            row("told_linear", "Told from real, by a line", function=self.by(linear)),
            row("told_neighbours", "Told from real, by neighbours", function=self.by(neighbours)),
        ]

    def by(self, kind: Callable[[int], Any]) -> Callable[[Comparison], Estimate]:
        """The accuracy of one kind of classifier."""
        return lambda c: told_apart(
            real=c.real.features, fake=c.fake.features, kind=kind, most=self.images, seed=self.seed
        )


@dataclass(frozen=True)
class IndependentCritic(Measurement):
    """The distance that a fresh critic finds between held-out images and fresh samples.

    Floor: validation images in the place of samples; ceiling: uniform noise.

    Attributes:
        critic: Its recipe.
    """

    critic: Critic
    requires: ClassVar[type] = Samples

    def blanks(self, evidence: Evidence) -> list[Value]:
        """One value."""
        count, split = evidence.samples, evidence.split
        return [
            blank(
                f"critic_distance_{count}_{split}",
                "Distance by an independent critic",
                "pixels, L2; W + W²/2λ of the Wasserstein distance W",
                "lower",
                count,
                f"{count} samples ({evidence.precision}): half learned from against all training "
                f"images, half judged against the {len(evidence.real.images)} {split} images; "
                f"{self.critic.protocol}, seed {evidence.seed}",
                "distance",
            )
        ]

    def measure(self, evidence: Evidence) -> list[Value]:
        """The distance; those of known images are kept in the store."""
        [empty] = self.blanks(evidence)
        value, error = self.critic.estimate(evidence, evidence.drawn.images)
        made = filled(empty, value, error, "95 %, normal, over judged images and samples")
        floor, ceiling = (self.known(name, evidence) for name in ("validation", "noise"))
        return [replace(made, floor=floor, ceiling=ceiling)]

    def known(self, name: str, evidence: Evidence) -> Anchor | None:
        """The distance of known images; None where there are too few."""
        images = evidence.stand_in(name)
        if len(images) < 3:
            return None
        [number] = evidence.store.numbers(
            f"{type(self).__name__}-{name}",
            {
                **evidence.known,
                "critic": self.critic.protocol,
                "trunk": source_digest(made_by(self.critic.trunk)),
                "code": source_digest(type(self)),
                "stand_in": name,
            },
            lambda: [self.critic.estimate(evidence, images).value],
        )
        return Anchor(number, OF[name].format(len(images)))
