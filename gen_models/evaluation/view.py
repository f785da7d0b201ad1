"""The evidence as one extractor sees it: features of real images and of samples."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from torch import Tensor

from gen_models.evaluation.comparison import Comparison
from gen_models.evaluation.extractors.features import Features, extract

if TYPE_CHECKING:
    from gen_models.evaluation.evidence import Evidence


class View:
    """The evidence as one of its extractors sees it.

    Args:
        evidence: What is seen.
        index: The extractor's place.
    """

    def __init__(self, evidence: Evidence, index: int) -> None:
        self.evidence = evidence
        self.extractor = evidence.extractors[index]
        self.index = index
        self._known: dict[str, Comparison] = {}

    def features(self, images: Tensor) -> Features:
        """Features of stored images (N, C, H, W), from the store where it has them."""
        evidence = self.evidence

        def compute() -> Features:
            return extract(self.extractor, images, evidence.device, evidence.batch)

        return evidence.store.features(images, self.extractor, evidence.device, compute)

    @cached_property
    def sees(self) -> str:
        """Hash of the extractor: of its digest, and of what it makes of fixed noise."""
        evidence = self.evidence
        seen = evidence.store.sees(self.extractor, evidence.real.images, evidence.device)
        return f"{self.extractor.digest} {seen}"

    @cached_property
    def real(self) -> Features:
        """Features of the images that are measured on."""
        return self.features(self.evidence.real.images)

    @cached_property
    def train(self) -> Features:
        """Features of all training images."""
        return self.features(self.evidence.train.images)

    @cached_property
    def samples(self) -> Comparison:
        """The model's samples beside the real images."""
        return self._comparison(self.evidence.drawn.features[self.index])

    def known(self, name: str) -> Comparison:
        """Something known beside the real images; see `Evidence.stand_in`."""
        if name not in self._known:
            self._known[name] = self._comparison(self._stand_in(name))
        return self._known[name]

    def _stand_in(self, name: str) -> Features:
        if name == "training":
            return self.train.first(self.evidence.samples)
        return self.features(self.evidence.stand_in(name))

    def _comparison(self, fake: Features) -> Comparison:
        return Comparison(self.real, fake, lambda: self.train, self.evidence.real.labels)
