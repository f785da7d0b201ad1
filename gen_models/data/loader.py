"""A data set held on the device, and the order in which its batches are drawn."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Sampler

from gen_models.data.binarisation import binary
from gen_models.data.draws import FRESH_STREAM
from gen_models.data.ranges import Scaler, to_pixels
from gen_models.data.splits import permutation
from gen_models.errors import UsageError


class Batch(NamedTuple):
    """Scaled images (B, C, H, W), float32, and their labels (B,), int64, where there are any."""

    images: Tensor
    labels: Tensor | None


class EpochOrder(Sampler[int]):
    """The order of one epoch, a pure function of (seed, epoch).

    Because nothing is carried from one epoch to the next, a resumed run draws the very batches the
    interrupted one would have drawn. Lightning tells the epoch by `set_epoch`. It is an ordinary
    sampler too: a `DataLoader` over a set too large for memory takes it and gives the same order.

    Example:
        >>> order = EpochOrder(5, seed=0, shuffle=True)
        >>> list(order)
        [0, 2, 1, 4, 3]
        >>> order.set_epoch(1)
        >>> list(order)
        [3, 2, 4, 1, 0]
    """

    def __init__(self, count: int, seed: int = 0, shuffle: bool = True) -> None:
        """Order `count` images, at random by `seed` or, if not `shuffle`, as they are stored."""
        self.count = count
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is drawn next, counted from 0."""
        self.epoch = epoch

    def indices(self) -> Tensor:
        """This epoch's order, (count,), int64, on the CPU."""
        if not self.shuffle:
            return torch.arange(self.count)
        return permutation(self.count, self.seed, stream=self.epoch)

    def __iter__(self) -> Iterator[int]:
        """The same order, number by number."""
        return iter(self.indices().tolist())

    def __len__(self) -> int:
        """How many images an epoch has."""
        return self.count


class DeviceLoader:
    """Batches cut from one tensor where it lies: one index_select and one normalise each.

    Small images cost more to fetch one by one than to train on, so the whole set stays on the
    device, in bytes. The order goes there once per epoch; inside the loop nothing waits for it.
    A set too large for that stays in its file (see `storage`), and each batch goes to the device.

    Lightning treats it as any loader: it calls `sampler.set_epoch` before each epoch, and keeps
    `state_dict` in a checkpoint, so that a run stopped inside an epoch goes on with the next batch.
    """

    # Lightning asks a loader that has a sampler for this one too.
    batch_sampler = None

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | None,
        scaler: Scaler,
        batch_size: int,
        order: EpochOrder,
        drop_last: bool,
        fresh: bool = False,
        place: tuple[int, int] = (0, 1),
        device: torch.device | None = None,
    ) -> None:
        """Serve these images in this order.

        Args:
            images: (N, C, H, W), uint8 or float32.
            labels: (N,), int64, on the same device, or None.
            scaler: Takes pixels to the range the networks see. A copy of it goes to the device.
            batch_size: Images per batch, at least 1.
            order: The order of N images.
            drop_last: Whether to leave out a last batch that is not full.
            fresh: Whether each batch is a fresh binary draw of its grey bytes, a pure function of
                the order's seed, the epoch and the batch's place in it.
            place: (r, n): only the r-th of n equal parts of each batch is served, where n processes
                share it.
            device: Of the batches; None: where the images are.
        """
        assert len(order) == len(images)
        assert batch_size >= 1
        assert batch_size % place[1] == 0
        assert drop_last or place == (0, 1)
        self.images = images
        self.labels = labels
        self.device = images.device if device is None else device
        self.scaler = copy.deepcopy(scaler).to(self.device)
        self.batch_size = batch_size
        self.sampler = order
        self.drop_last = drop_last
        self.fresh = fresh
        self.place = place
        self._position = 0
        self._resume_at = 0

    def __len__(self) -> int:
        """Batches per epoch."""
        full, left = divmod(len(self.images), self.batch_size)
        return full + bool(left and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        """One epoch of batches."""
        # A generator, so that this line runs with the first batch: Lightning asks for the iterator
        # of a resumed run before it has told the sampler which epoch it is.
        part, parts = self.place
        size = self.batch_size // parts
        order = self.sampler.indices()
        if parts > 1:
            batches = order[: len(self) * self.batch_size].view(len(self), parts, size)
            order = batches[:, part].flatten()
        order = order.to(self.images.device, non_blocking=True)
        first, self._resume_at = self._resume_at, 0
        for position in range(first, len(self)):
            self._position = position + 1
            start = position * size
            yield self._batch(order[start : start + size], position)

    def _batch(self, chosen: Tensor, position: int) -> Batch:
        images = self.images.index_select(0, chosen)
        if self.fresh:
            stream = FRESH_STREAM + self.sampler.epoch
            images = binary(images, self.sampler.seed, stream, position, self.place)
        labels = None if self.labels is None else self.labels.index_select(0, chosen)
        images = images.to(self.device, non_blocking=True)
        if labels is not None:
            labels = labels.to(self.device, non_blocking=True)
        return Batch(self.scaler(to_pixels(images)), labels)

    def state_dict(self) -> dict[str, int]:
        """How many batches of the epoch have been handed out."""
        return {"position": self._position}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on behind that batch; behind the last one, with the next epoch."""
        self._resume_at = self._position = state_dict["position"] % max(len(self), 1)


def place(trainer: Any, batch_size: int) -> tuple[int, int]:
    """Which of how many equal parts of each batch a process trains on.

    Args:
        trainer: Lightning's; None: there is one process.
        batch_size: Images per batch, over all processes.

    Raises:
        UsageError: If the batch has no such parts, or the processes would not share it.
    """
    if trainer is None or trainer.world_size == 1:
        return 0, 1
    if not getattr(trainer.strategy, "shares_batches", False):
        # Every process would draw the same noise, and nothing would say so.
        raise UsageError(
            f"data: {type(trainer.strategy).__name__} does not make of several processes' shares "
            "the step that one process would make; set trainer=ddp, or from Python "
            "Trainer(strategy=SharedBatch()) of gen_models.training.devices"
        )
    if batch_size % trainer.world_size:
        raise UsageError(
            f"data.batch_size={batch_size} is shared by {trainer.world_size} processes: make it a "
            "multiple of their number"
        )
    return trainer.global_rank, trainer.world_size
