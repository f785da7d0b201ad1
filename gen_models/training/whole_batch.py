"""Noise and batch statistics of a batch that several processes share, as of the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

WITHIN = frozenset(
    {"gru", "lstm", "miopen_rnn", "rnn_relu", "rnn_tanh", "scaled_dot_product_attention"}
)
"""Functions that may drop out in their midst, which is left to them."""


@cache
def draws() -> frozenset[str]:
    """Names of torch's functions that draw, by its own tag."""
    names = {*dir(torch), *dir(Tensor), *dir(nn.functional)} - WITHIN
    found = {name: getattr(torch.ops.aten, name, None) for name in names}
    return frozenset(
        name
        for name, operation in found.items()
        if isinstance(operation, torch._ops.OpOverloadPacket)
        and any(
            torch.Tag.nondeterministic_seeded in getattr(operation, each).tags
            for each in operation.overloads()
        )
    )


class WholeBatch(TorchFunctionMode):
    """For a while, torch draws and normalises as it would for the whole batch.

    Every process holds an equal share of one batch, and the same random state. A draw whose shape
    has the share's size is made for the whole batch, and each process is given its own rows: the
    noise is that of one process, and the random states stay equal. Which dimension is the batch is
    not known; it is taken to be the first of the share's size, or else the first that is a multiple
    of it, and where that is wrong the noise is still independent. Draws of other shapes belong to
    no image, and are the same in all processes.

    Batch normalisation in training mode has the moments of the whole batch, differentiably and on
    any device (torch's SyncBatchNorm is for GPUs).

    Args:
        size: Images in this process's share.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.draw = _Draw(size, dist.get_rank(), dist.get_world_size())

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """One call of a torch function."""
        kwargs = kwargs or {}
        if func is batch_norm and kwargs.get("training", False):
            return whole_batch_norm(*args, **kwargs)
        if getattr(func, "__name__", "") in draws():
            with self.draw:
                return func(*args, **kwargs)
        return func(*args, **kwargs)


class _Draw(TorchDispatchMode):
    """Makes each draw for the whole batch, and keeps this process's rows."""

    def __init__(self, size: int, rank: int, processes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.size, self.rank, self.processes = size, rank, processes

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """One operation, below autograd."""
        kwargs = kwargs or {}
        named = {a.name: value for a, value in zip(func._schema.arguments, args, strict=False)}
        shape = shape_of_draw(named | kwargs)
        batch = self.dimension(shape)
        if torch.Tag.nondeterministic_seeded not in func.tags or batch is None:
            return func(*args, **kwargs)
        wider = {name: self.wider(name, value, shape, batch) for name, value in named.items()}
        more = {name: self.wider(name, value, shape, batch) for name, value in kwargs.items()}
        drawn = func(*wider.values(), **more)
        start = self.rank * shape[batch]
        mine = tree_map_only(
            Tensor, lambda whole: whole.narrow(batch, start, shape[batch]).clone(), drawn
        )
        return args[0].copy_(mine) if func._schema.is_mutable else mine

    def dimension(self, shape: Sequence[int]) -> int | None:
        """Which dimension of a draw is the batch; None where none is."""
        same = [place for place, length in enumerate(shape) if length == self.size]
        multiples = [place for place, length in enumerate(shape) if length % self.size == 0]
        return next(iter(same + multiples), None)

    def wider(self, name: str, value: Any, shape: Sequence[int], batch: int) -> Any:
        """An argument as it would be for the whole batch."""
        if name == "size":
            return [n * self.processes if i == batch else n for i, n in enumerate(shape)]
        if name == "num_samples":
            return value * self.processes if batch == len(shape) - 1 else value
        if isinstance(value, Tensor) and tuple(value.shape[: batch + 1]) == shape[: batch + 1]:
            return torch.cat([value] * self.processes, batch)
        return value


def shape_of_draw(arguments: dict[str, Any]) -> tuple[int, ...]:
    """The shape of what an operation draws, of its arguments by name."""
    if "size" in arguments:
        return tuple(arguments["size"])
    tensors = [value for value in arguments.values() if isinstance(value, Tensor)]
    shape = tuple(torch.broadcast_shapes(*(t.shape for t in tensors)))
    if "num_samples" in arguments:
        return (*shape[:-1], arguments["num_samples"])
    return shape


def whole_batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.batch_norm` in training mode, with the moments of the whole batch.

    Args:
        x: (B, C, ...), this process's share; shares are of equal size.
        running_mean: (C,), or None.
        running_var: (C,), or None.
        weight: (C,), or None.
        bias: (C,), or None.
        training: True.
        momentum: Share of the batch in the running moments.
        eps: Added to the variance.

    Returns:
        As x.
    """
    dims = [0, *range(2, x.dim())]
    along = [1, -1, *[1] * (x.dim() - 2)]
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    mean = mean_of_all(wide.mean(dims))
    centred = wide - mean.view(along)
    variance = mean_of_all(centred.square().mean(dims))
    with torch.no_grad():
        count = dist.get_world_size() * x.numel() // x.shape[1]
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            running_var.lerp_((variance * count / (count - 1)).to(running_var.dtype), momentum)
    scaled = centred * (variance + eps).rsqrt().view(along)
    if weight is not None:
        scaled = scaled * weight.view(along)
    if bias is not None:
        scaled = scaled + bias.view(along)
    return scaled.to(x.dtype)


class _Sum(torch.autograd.Function):
    """The sum over all processes; what it is made of in one is felt by the losses of all."""

    @staticmethod
    def forward(context: Any, mine: Tensor) -> Tensor:
        total = mine.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return _Sum.apply(gradients[0])


def mean_of_all(mine: Tensor) -> Tensor:
    """The mean over all processes, differentiable, as often as one likes."""
    return _Sum.apply(mine) / dist.get_world_size()
