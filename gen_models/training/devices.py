"""Training over several devices, one process each, as it would be over one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any
from zlib import crc32

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn

from gen_models.errors import UsageError
from gen_models.models.phase import images_of
from gen_models.processes import largest
from gen_models.training.whole_batch import WholeBatch


class SharedBatch(DDPStrategy):
    """Each process takes its share of a batch, and all make the step that one would make of it.

    The module is not wrapped. Torch's reducer counts each parameter once a step, where phases reach
    some of them once, twice or not at all; here a phase's gradients are averaged behind its
    backward pass, in one message.
    """

    shares_batches = True
    """Data modules serve a share of each batch to those who say so, and no one else."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._compared = False

    def setup_environment(self) -> None:
        """Meet the others."""
        with isolate_rng():  # Lightning seeds anew here, and for one process it does not
            super().setup_environment()

    def configure_ddp(self) -> None:
        """Begin from the first process's weights."""
        for tensor in state(self.module):
            dist.broadcast(tensor.data, 0)

    def training_step(self, batch: Any, *arguments: Any) -> Any:
        """The module's step, with noise and batch statistics of the whole batch."""
        with WholeBatch(len(images_of(batch))):
            done = super().training_step(batch, *arguments)
        if not self._compared:
            self.compare()
        return done

    def backward(
        self, closure_loss: Tensor, optimizer: Any, *arguments: Any, **options: Any
    ) -> Tensor:
        """The backward pass, and the gradients' mean over all processes."""
        loss = super().backward(closure_loss, optimizer, *arguments, **options)
        average(parameter.grad for parameter in options["inputs"])
        return loss

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        """Whether all, or one at least, have decided so; no GPU is waited for."""
        return not bool(largest(not decision)) if all else bool(largest(decision))

    def on_validation_start(self) -> None:
        """Compare the processes' weights."""
        self.compare()

    def compare(self) -> None:
        """Make sure that all processes have the same weights and buffers, bit for bit.

        Raises:
            UsageError: If they have not: what is trained keeps a state of its own batches.
        """
        self._compared = True
        mine = {name: checksum(tensor) for name, tensor in self.module.state_dict().items()}
        found: list[Any] = [None] * self.world_size
        dist.all_gather_object(found, mine)
        apart = [name for name in mine if any(each[name] != mine[name] for each in found)]
        if apart:
            raise UsageError(
                f"{apart[0]} differs between the processes of trainer=ddp: the model keeps a state "
                "of the batches it has seen, each process its own; set trainer.devices=1"
            )

    @property
    def module(self) -> pl.LightningModule:
        """The module that is trained."""
        assert self.lightning_module is not None
        return self.lightning_module


def state(module: nn.Module) -> Iterable[Tensor]:
    """Parameters and buffers."""
    return chain(module.parameters(), module.buffers())


def average(gradients: Iterable[Tensor | None]) -> None:
    """Put each gradient's mean over all processes in its place, in one message."""
    there = [gradient for gradient in gradients if gradient is not None]
    flat = torch.cat([gradient.flatten() for gradient in there])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    # In place: the optimiser reads a gradient as its parameter is laid out in memory.
    for gradient, mean in zip(there, flat.split([g.numel() for g in there]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def checksum(tensor: Tensor) -> int:
    """Of a tensor's bytes."""
    return crc32(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
