"""A player's turn in training, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from gen_models.errors import UsageError

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
"""Makes an optimiser of the parameters it is given, as `partial(Adam, lr=...)` does."""


@dataclass(frozen=True)
class Phase:
    """One player's turn: what it minimises and what it may move.

    Attributes:
        name: Prefix of the phase's logged values.
        loss: Maps scaled images (B, C, H, W), and labels (B,) where `labelled`, to named scalars;
            "loss" is the one that is minimised.
        parameters: All that the phase moves; its backward pass reaches nothing else.
        optimizer: Makes the phase's optimiser.
        every: The phase acts in each `every`-th iteration.
        clip: Largest norm of the phase's gradient; None: no limit.
        begins: Images seen from which on the phase acts.
        ends: Images seen from which on it acts no more; None: to the end.
        labelled: Whether the loss is called with the labels (B,) too.
        of_slopes: Whether the loss holds a gradient, and is differentiated through it: what
            `torch.compile` cannot do.
        after: Called behind each step of the phase: where its parameters are held to a set.
    """

    name: str
    loss: Callable[..., dict[str, Tensor]]
    parameters: Sequence[nn.Parameter]
    optimizer: OptimizerFactory
    every: int = 1
    clip: float | None = None
    begins: int = 0
    ends: int | None = None
    labelled: bool = False
    of_slopes: bool = False
    after: Callable[[], None] | None = None

    def acts(self, iteration: int, images_seen: int) -> bool:
        """Whether it is this phase's turn in an iteration, counted from 1."""
        ended = self.ends is not None and images_seen >= self.ends
        return self.begins <= images_seen and not ended and iteration % self.every == 0

    def values(self, batch: Any) -> dict[str, Tensor]:
        """The loss on a batch.

        Raises:
            UsageError: If the phase needs labels and there are none.
        """
        x = images_of(batch)
        if not self.labelled:
            return self.loss(x)
        labels = None if isinstance(batch, Tensor) else batch[1]
        if labels is None:
            raise UsageError(f"the phase {self.name} of the model needs labels; the data have none")
        return self.loss(x, labels)


def sparing(phase: Phase, parameters: Iterable[nn.Parameter]) -> Phase:
    """The same turn, which leaves another player's parameters alone."""
    others = {id(p) for p in parameters}
    return replace(phase, parameters=[p for p in phase.parameters if id(p) not in others])


def images_of(batch: Any) -> Tensor:
    """The images of a batch: the batch itself, or the first of a tuple (images, labels)."""
    return batch if isinstance(batch, Tensor) else batch[0]


def scale_rate(optimizer: Any, factor: float) -> None:
    """Set the learning rates to a factor of the first ones, which checkpoints keep beside them."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group.setdefault("initial_lr", group["lr"])


def check_clip(clip: float | None) -> None:
    """Refuse a largest norm of the gradient that is none: a negative one would turn it round.

    Raises:
        UsageError: If it is not above 0.
    """
    if clip is not None and not clip > 0:
        raise UsageError(f"model.clip must be above 0, or null, not {clip}")
