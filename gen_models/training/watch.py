"""A watch on samples and on the game: trouble is told of once, with a remedy, and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from gen_models.capabilities import Samples
from gen_models.models.base import GenerativeModule
from gen_models.models.phase import images_of

IN_A_ROW = 2
"""Validations at which trouble is seen before it is told of: the first may be of the start."""


@dataclass(frozen=True)
class Seen:
    """What there is to judge by at a validation.

    Attributes:
        module: In evaluation mode.
        rows: Of its history, since the last validation.
        real: Pixels (N, C, H, W) of the first validation images.
    """

    module: GenerativeModule
    rows: Sequence[dict[str, float]]
    real: Tensor


@dataclass(frozen=True)
class Saturation:
    """The discriminator is never wrong and has next to nothing left to lose.

    It tells real from generated in `apart` of all pairs, and its side of the game, penalties and
    other costs aside, is below `loss` of what equal logits cost, in the mean since the last
    validation. A loss that equal logits make 0, as Wasserstein's and BEGAN's, has no such end and
    is not judged.

    Attributes:
        apart: Share of pairs.
        loss: Share of the loss of equal logits.
    """

    apart: float = 0.99
    loss: float = 0.05
    kind = "discriminator saturation"

    def __call__(self, seen: Seen) -> str | None:
        """What is wrong and what to do, where something is."""
        objective = getattr(seen.module, "adversarial", getattr(seen.module, "objective", None))
        game = getattr(objective, "discriminator", None)
        names = "told_apart", "game"
        means = [mean(seen.rows, f"train/discriminator/{name}") for name in names]
        if game is None or None in means:
            return None
        apart, loss = (number for number in means if number is not None)
        equal = game(*torch.zeros(2, 1, device=seen.module.device)).item()
        if not equal > 0 or apart < self.apart or loss > self.loss * equal:
            return None
        return (
            f"the discriminator tells {apart:.1%} of pairs apart at a loss of {loss:.2g}, where "
            f"equal logits cost {equal:.2g}: it teaches little; {seen.module.remedy}"
        )


@dataclass(frozen=True)
class Collapse:
    """Samples are all alike: their mean distance is a small share of that of real images.

    Attributes:
        share: Of the real images' mean pairwise distance in pixels, L2.
        count: Samples drawn, at the same latents each time, and real images at most.
    """

    share: float = 0.1
    count: int = 64
    kind = "collapse of samples"

    def __call__(self, seen: Seen) -> str | None:
        """What is wrong and what to do, where something is."""
        if not isinstance(seen.module, Samples):
            return None
        generator = torch.Generator(seen.module.device).manual_seed(0)
        with torch.no_grad():
            samples = seen.module.sample(self.count, generator)
        made, real = (spread(images) for images in (samples, seen.real[: self.count]))
        if not made < self.share * real:
            return None
        return (
            f"samples are {made / real:.1%} as far from each other as real images are; restart "
            f"with another seed, and {seen.module.remedy}"
        )


Rule = Saturation | Collapse


class Watch(pl.Callback):
    """Asks each rule at each validation, and tells of what is seen twice in a row.

    Args:
        rules: What is looked for.
    """

    def __init__(self, rules: Sequence[Rule] = (Saturation(), Collapse())) -> None:
        self.rules = rules
        self._real: Tensor | None = None
        self._images = -1.0
        self._times: Counter[str] = Counter()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on from."""
        return {"images": self._images, "times": dict(self._times)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._images, self._times = state["images"], Counter(state["times"])

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        module: GenerativeModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        *_: Any,
    ) -> None:
        """Keep the first batch of real images."""
        if batch_idx == 0 and self._real is None:
            model: Any = module
            self._real = model.scaler.inverse(images_of(batch))

    def on_validation_end(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Look, and tell."""
        if trainer.sanity_checking or module.diverged is not None or self._real is None:
            return
        rows = [row for row in module.history if row["images"] > self._images]
        self._images = module.images_seen
        for rule in self.rules:
            text = rule(Seen(module, rows, self._real))
            self._times[rule.kind] = 0 if text is None else self._times[rule.kind] + 1
            if text is not None and self._times[rule.kind] >= IN_A_ROW:
                module.tell(rule.kind, text)


def mean(rows: Sequence[dict[str, float]], name: str) -> float | None:
    """Of a logged value over rows of a history; None where it is not logged."""
    values = [row[name] for row in rows if name in row]
    return sum(values) / len(values) if values else None


def spread(images: Tensor) -> float:
    """Mean distance of all pairs of images (N, C, H, W), L2, in their units; N > 1."""
    return torch.pdist(images.flatten(1).float()).mean().item()
