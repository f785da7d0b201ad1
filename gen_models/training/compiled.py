"""Losses through `torch.compile`: the same numbers up to rounding, in fewer and larger kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn

from gen_models.errors import UsageError
from gen_models.models.base import GenerativeModule
from gen_models.models.phase import Phase

MODES = ("default", "reduce-overhead")
"""Of `torch.compile`; the second one replays CUDA graphs on a GPU, and is the first on a CPU."""


class Compiled(pl.Callback):
    """Compiles each phase's loss for training: forward and backward pass, not the step.

    Validation, evaluation and checkpoints know nothing of it: what they call is the module's own,
    and no module is wrapped. Noise is drawn by torch's own kernels, so that a seed gives the noise
    that it gives without (`fallback_random`). Each size of batch has code of its own, since code
    for any size would be other code once a second size was seen, and a resumed run could not know.

    Phases that differentiate a gradient are left as they are, and told of: AOTAutograd has no
    double backward. So is none of another player's parameters differentiated: compiled code would
    compute all gradients, where `backward(inputs=...)` takes some.

    Args:
        mode: One of `MODES`.

    Raises:
        UsageError: If there is no such mode; in training, if several devices share the batches.
    """

    def __init__(self, mode: str) -> None:
        if mode not in MODES:
            raise UsageError(f"compile={mode} must be null or one of {', '.join(MODES)}")
        self.mode = mode
        self._plain: list[Phase] = []

    def on_train_start(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Put compiled losses in the place of the module's."""
        if trainer.world_size > 1:
            raise UsageError(
                f"compile={self.mode}: losses are compiled on one device alone; set compile=null"
            )
        torch.compiler.reset()  # what ran before in this process counts towards torch's limits
        self._plain = module.acting
        module.acting = [self._compiled(phase, module) for phase in self._plain]

    def _compiled(self, phase: Phase, module: GenerativeModule) -> Phase:
        if phase.of_slopes:
            rank_zero_warn(
                f"compile={self.mode}: the loss of the phase {phase.name} differentiates a "
                "gradient, which torch.compile cannot; it runs as it is",
                stacklevel=4,
            )
            return phase
        graphs = self.mode == "reduce-overhead" and module.device.type == "cuda"
        options: dict[str, Any] = {"fallback_random": True, "triton.cudagraphs": graphs}
        loss = torch.compile(phase.loss, dynamic=False, options=options)
        return replace(phase, loss=Loss(loss, module, phase.parameters))

    def on_train_end(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Put the module's own losses back, and give the memory of the graphs back."""
        module.acting, self._plain = self._plain, []
        for parameter in module.parameters():
            parameter.grad = None  # may lie in a graph's memory
        torch.compiler.reset()


class Loss:
    """A phase's compiled loss, called as its own one is.

    Args:
        loss: Compiled.
        module: Whose loss it is.
        parameters: That the phase moves; no others of the module are differentiated.
    """

    def __init__(
        self,
        loss: Callable[..., dict[str, Tensor]],
        module: GenerativeModule,
        parameters: Sequence[nn.Parameter],
    ) -> None:
        own = {id(parameter) for parameter in parameters}
        self.loss = loss
        self.others = [p for p in module.parameters() if p.requires_grad and id(p) not in own]
        counting = [part for part in module.modules() if isinstance(part, GenerativeModule)]
        # The same tensors in all steps: what is a module's is never copied into a CUDA graph.
        zero = torch.zeros((), dtype=torch.int64, device=module.device)
        self.counts = [(part, zero.clone()) for part in counting]

    def __call__(self, *batch: Tensor) -> dict[str, Tensor]:
        """The phase's values; none lies where the next call writes its own."""
        with unasked(self.others), counted_in_tensors(self.counts):
            values = self.loss(*batch)
        copies = torch.stack([value.detach() for value in values.values()]).unbind()
        return {**dict(zip(values, copies, strict=True)), "loss": values["loss"].clone()}


@contextmanager
def unasked(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """No gradient of these, for a while."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@contextmanager
def counted_in_tensors(counts: Sequence[tuple[Any, Tensor]]) -> Iterator[None]:
    """For a while, `images_seen` is a tensor: a number would be compiled in, anew in each step.

    Args:
        counts: Modules, and the tensor () of each, which is filled.
    """
    numbers = [module.images_seen for module, _ in counts]
    for (module, count), number in zip(counts, numbers, strict=True):
        module.images_seen = count.fill_(number)
    try:
        yield
    finally:
        for (module, _), number in zip(counts, numbers, strict=True):
            module.images_seen = number


@contextmanager
def compiling(mode: str | None) -> Iterator[None]:
    """Say in one line what does not compile.

    Args:
        mode: Of the compiler; None: nothing is compiled, and nothing is caught.

    Raises:
        UsageError: If something does not.
    """
    try:
        yield
    except Exception as error:
        if mode is None or not of_compiler(error):
            raise
        told = " ".join(str(error).split())[:300]
        raise UsageError(
            f"compile={mode}: a loss does not compile ({told}); set compile=null"
        ) from error


def of_compiler(error: BaseException) -> bool:
    """Whether an error is torch's compiler's own."""
    kinds = {kind.__module__ for kind in type(error).__mro__}
    double = "does not currently support double backward" in str(error)
    return double or any(k.startswith(("torch._dynamo", "torch._inductor")) for k in kinds)
