"""The Lightning data module that splits, scales and serves images the same way for every model."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.distributions import Distribution

from gen_models.data.binarisation import check_kind, fixed_draw
from gen_models.data.decode import Unreadable
from gen_models.data.draws import TEST_STREAM, TRAINING_STREAM
from gen_models.data.images import ImageSet, content_hash
from gen_models.data.loader import DeviceLoader, EpochOrder, place
from gen_models.data.memory import enough_memory
from gen_models.data.options import SCALINGS, check_options
from gen_models.data.ranges import Scaler
from gen_models.data.splits import check_seed, check_splits, split
from gen_models.data.storage import InMemory, Storage, check_in_memory
from gen_models.errors import UsageError


class ImageDataModule(LightningDataModule, ABC):
    """Images for training, validation and test, split and scaled the same way for every model.

    A subclass says in `load` where they come from. After `setup`, which may be called by hand:

    Attributes:
        name: What the data are called in a record; binary images of a set have a name of their own.
        train: The images to learn from; the scaler is fitted on them alone.
        shown: What training shows: `train`, or the grey images it is drawn from, where every
            showing is a fresh draw.
        validation: Held-out training images, for choosing between models.
        test: The images to report on.
        scaler: Takes pixels to the range the networks see.
        shape: (C, H, W) of one image.
        num_classes: How many classes there are, or None without labels.
        split_indices: Per split, which of the loaded images it took. `test` counts within the
            official test set where there is one, within the training set otherwise.
        fingerprint: `content_hash` of the three splits; equal content, equal fingerprint.
        storage: Where the images of the splits lie.
        skipped: Files that could not be read and are left out, each with its reason.
        density: Of the distribution that the data were drawn from, over pixels, event shape
            (C, H, W), float64 on the CPU; None where nobody knows it.
    """

    name: str = "images"
    density: Distribution | None = None
    skipped: Sequence[Unreadable] = ()
    train: ImageSet
    shown: ImageSet
    validation: ImageSet
    test: ImageSet
    scaler: Scaler
    shape: tuple[int, int, int]
    num_classes: int | None
    split_indices: dict[str, Tensor]
    storage: Storage
    fingerprint: str

    def __init__(
        self,
        *,
        batch_size: int = 64,
        scaling: str = "symmetric",
        validation: float = 0.1,
        test: float = 0.2,
        split_seed: int = 0,
        seed: int = 0,
        limit: int | None = None,
        binarize: str | None = None,
        in_memory: InMemory = "auto",
    ) -> None:
        """Choose how the images are split, scaled and served.

        Args:
            batch_size: Images per batch; over all devices, where there are several.
            scaling: `unit` for [0, 1], `symmetric` for [-1, 1], or `standard` for mean 0 and
                variance 1 per channel.
            validation: Share of the training images held out for validation, in [0, 1).
            test: Share of all images held out for test, in [0, 1); idle where the data bring a
                test set of their own.
            split_seed: Decides, alone, which images are held out.
            seed: Decides the order of the training batches.
            limit: Use only so many training images, for quick trials; a random choice by
                `split_seed`. Validation and test stay as they are.
            binarize: None for images as they are; `static` for one binary draw of each, `dynamic`
                for a fresh draw whenever training shows an image (see `binarisation`).
            in_memory: Whether the images lie in memory, and on the device that trains, or in a
                file; `auto` for memory where there is room. The batches are the same.

        Raises:
            UsageError: If a value is outside its range.
        """
        super().__init__()
        if scaling not in SCALINGS:
            raise UsageError(f"data.scaling={scaling!r} must be one of {', '.join(SCALINGS)}")
        self.shares = {"test": test, "validation": validation}
        check_options(self.shares, {"batch_size": batch_size, "limit": limit})
        self.batch_size = batch_size
        self.scaling = scaling
        self.split_seed = check_seed("split_seed", split_seed)
        self.seed = check_seed("seed", seed)
        self.limit = limit
        self.binarize = check_kind(binarize)
        self.in_memory = check_in_memory(in_memory)

    @abstractmethod
    def load(self) -> tuple[ImageSet, ImageSet | None]:
        """The training images and, where there is one, the official test set."""

    def setup(self, stage: str | None = None) -> None:
        """Load, split and scale; once, whatever the stage and however often it is called.

        Raises:
            UsageError: If a split would be empty, a batch is larger than the training split, the
                official test images have another shape, or floats should be made binary.
        """
        if hasattr(self, "fingerprint"):
            return
        with enough_memory():
            loaded, official = self.load()
        if official is not None and official.shape != loaded.shape:
            raise UsageError(
                f"data: test images of {self.name} have shape {official.shape}, training images "
                f"{loaded.shape}; give both the same channels and size"
            )
        self.split_indices = self._split(len(loaded), None if official is None else len(official))
        check_splits(self.split_indices, self.name, self.shares, self.batch_size)
        self.shape = loaded.shape
        self.num_classes = loaded.num_classes
        with enough_memory():
            self._take(loaded, loaded if official is None else official)
        self.scaler = SCALINGS[self.scaling](self.train.images)
        grey = {"shown": self.shown} if self.binarize == "dynamic" else {}
        # Last, because its presence says that all the rest is there.
        self.fingerprint = content_hash({**self._splits(), **grey})

    def _take(self, learned: ImageSet, tested: ImageSet) -> None:
        chosen = self.split_indices
        storage = self.store(learned.images.nbytes)
        if self.binarize == "dynamic":
            self.shown = storage.subset(learned, chosen["train"])
        if self.binarize is not None:
            stream = TRAINING_STREAM if tested is learned else TEST_STREAM
            tested = fixed_draw(tested, stream, storage)
            learned = fixed_draw(learned, TRAINING_STREAM, storage)
            self.name = f"{self.name}_binarized_{self.binarize}"
        self.train = storage.subset(learned, chosen["train"])
        self.validation = storage.subset(learned, chosen["validation"])
        self.test = storage.subset(tested, chosen["test"])
        if self.binarize != "dynamic":
            self.shown = self.train

    def store(self, size: int) -> Storage:
        """The place for the images, chosen when it is first asked for.

        Args:
            size: Bytes of images.

        Raises:
            UsageError: If they shall lie on disk, and there is no room or no permission.
        """
        if not hasattr(self, "storage"):
            self.storage = Storage.of(self.in_memory, size)
        return self.storage

    def _split(self, count: int, official: int | None) -> dict[str, Tensor]:
        if official is None:
            indices = split(count, self.split_seed, self.shares)
        else:
            shares = {"validation": self.shares["validation"]}
            indices = split(count, self.split_seed, shares)
            indices["test"] = torch.arange(official)
        return {**indices, "train": indices["train"][: self.limit]}

    def _splits(self) -> dict[str, ImageSet]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def train_dataloader(self) -> DeviceLoader:
        """Training batches, shuffled anew each epoch, all of equal size."""
        fresh = self.binarize == "dynamic"
        part = place(self.trainer, self.batch_size)
        return self._loader(self.shown, shuffle=True, fresh=fresh, part=part)

    def val_dataloader(self) -> DeviceLoader:
        """All validation images, in order."""
        return self._loader(self.validation, shuffle=False)

    def test_dataloader(self) -> DeviceLoader:
        """All test images, in order."""
        return self._loader(self.test, shuffle=False)

    def _loader(
        self,
        images: ImageSet,
        shuffle: bool,
        fresh: bool = False,
        part: tuple[int, int] = (0, 1),
    ) -> DeviceLoader:
        device = self._device()
        held = self.storage.placed(images.images, device)
        return DeviceLoader(
            images=held,
            labels=None if images.labels is None else images.labels.to(held.device),
            scaler=self.scaler,
            batch_size=self.batch_size,
            order=EpochOrder(len(images), self.seed, shuffle),
            drop_last=shuffle,
            fresh=fresh,
            place=part,
            device=device,
        )

    def _device(self) -> torch.device:
        if self.trainer is None:
            return torch.device("cpu")
        return self.trainer.strategy.root_device

    def state_dict(self) -> dict[str, Any]:
        """Which data and which split a checkpoint was made on, as plain values."""
        return {"fingerprint": self.fingerprint, "split_seed": self.split_seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Accept a checkpoint made on these very splits, and no other.

        Raises:
            UsageError: If the checkpoint saw other images, or the same ones split otherwise: test
                images might then be among those it was trained on.
        """
        self.setup()
        if state_dict["split_seed"] != self.split_seed:
            raise UsageError(
                f"checkpoint: made with data.split_seed={state_dict['split_seed']}, this run has "
                f"{self.split_seed}; set it to the same"
            )
        if state_dict["fingerprint"] != self.fingerprint:
            raise UsageError(
                f"checkpoint: made on other data or other splits than this {self.name} "
                f"({state_dict['fingerprint'][:12]}, not {self.fingerprint[:12]}); "
                "give the data settings it was trained with"
            )

    def __str__(self) -> str:
        if not hasattr(self, "fingerprint"):
            return f"{self.name} (not loaded)"
        sizes = ", ".join(f"{len(images)} {name}" for name, images in self._splits().items())
        return f"{self.name} {'x'.join(map(str, self.shape))}: {sizes}"
