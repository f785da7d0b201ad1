"""The public image sets that torchvision can fetch and read."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from gen_models.data.decode import (
    Size,
    Unreadable,
    first_line,
    height_and_width,
    read_images,
    resize,
)
from gen_models.data.images import ImageSet
from gen_models.data.module import ImageDataModule
from gen_models.data.options import Options
from gen_models.data.storage import part_length
from gen_models.errors import UsageError

TEN = tuple("0123456789")
CELEBA_CROP = (140, 140)
CELEBA_SIZE = (64, 64)
Place = Callable[..., Tensor]
"""From (N, C, H, W) to bytes of that shape, still to be filled: in memory, or on a disk."""


@dataclass(frozen=True)
class Source:
    """Where torchvision keeps one set and how its images are taken out.

    Attributes:
        dataset: The class in `torchvision.datasets`.
        folder: Below the root, where its files lie.
        splits: Its arguments for the training and for the test images.
        read: From the opened set, the size asked for and the place for large sets to images;
            `resize` is done by the caller where the size still differs.
    """

    dataset: str
    folder: str
    splits: tuple[dict[str, Any], dict[str, Any]]
    read: Callable[[Any, Size | None, Place], ImageSet]


def _read_idx(opened: Any, size: Size | None, place: Place) -> ImageSet:
    return ImageSet(opened.data[:, None], opened.targets.long(), tuple(opened.classes))


def _read_cifar(opened: Any, size: Size | None, place: Place) -> ImageSet:
    images = torch.from_numpy(opened.data).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, torch.tensor(opened.targets), tuple(opened.classes))


def _read_svhn(opened: Any, size: Size | None, place: Place) -> ImageSet:
    images = torch.from_numpy(np.ascontiguousarray(opened.data))
    return ImageSet(images, torch.from_numpy(opened.labels), TEN)


def _read_celeba(opened: Any, size: Size | None, place: Place) -> ImageSet:
    folder = Path(opened.root) / opened.base_folder / "img_align_celeba"
    paths = [folder / name for name in opened.filename]
    images = place(len(paths), 3, *(size or CELEBA_SIZE))
    length = part_length(images)  # all at once, the set would be held in memory twice
    for start in range(0, len(paths), length):
        part = paths[start : start + length]
        pictures = read_images(part, size or CELEBA_SIZE, channels=3, crop=CELEBA_CROP)
        for position, picture in enumerate(pictures, start):
            if isinstance(picture, Unreadable):
                raise UsageError(
                    f"data.dataset=celeba: {picture.path} cannot be read ({picture.reason}); "
                    "delete img_align_celeba and unpack it again"
                )
            images[position] = torch.from_numpy(picture.copy())
    return ImageSet(images)


_BY_FLAG = ({"train": True}, {"train": False})
_BY_NAME = ({"split": "train"}, {"split": "test"})

SOURCES: dict[str, Source] = {
    "mnist": Source("MNIST", "MNIST/raw", _BY_FLAG, _read_idx),
    "fashion_mnist": Source("FashionMNIST", "FashionMNIST/raw", _BY_FLAG, _read_idx),
    "cifar10": Source("CIFAR10", "cifar-10-batches-py", _BY_FLAG, _read_cifar),
    "svhn": Source("SVHN", "", _BY_NAME, _read_svhn),
    "celeba": Source("CelebA", "celeba", _BY_NAME, _read_celeba),
}


def check_idx(path: Path) -> int:
    """Compare an IDX file's length with the one its header promises.

    Returns:
        How many images or labels it holds.

    Raises:
        UsageError: If the header is not that of an IDX file of bytes, or the length differs.
    """
    with path.open("rb") as file:
        header = file.read(16)
    size = path.stat().st_size
    dimensions = header[3] if len(header) > 3 else 0
    sides = [int.from_bytes(header[4 * i : 4 * i + 4], "big") for i in range(1, dimensions + 1)]
    promised = 4 + 4 * dimensions + math.prod(sides)
    # Two zero bytes, 8 for unsigned bytes, the number of dimensions, then their sizes.
    sound = header[:3] == b"\0\0\x08" and dimensions in (1, 3)
    if not sound or size != promised:
        wrong = f"its header says {promised:,}" if sound else "no header of an IDX file"
        raise UsageError(
            f"data: {path} is damaged or cut off ({size:,} bytes, {wrong}); delete it and set "
            "data.download=true"
        )
    return sides[0]


def check_idx_folder(folder: Path) -> None:
    """Hold all IDX files against their headers, and labels against their images.

    Raises:
        UsageError: If a file is damaged, or there is not one label for each image.
    """
    counts = {path: check_idx(path) for path in sorted(folder.glob("*-ubyte")) if path.is_file()}
    for path, count in counts.items():
        labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
        if counts.get(labels, count) != count:
            raise UsageError(
                f"data: {path.name} holds {count:,} images and {labels.name} {counts[labels]:,} "
                f"labels, in {folder}; delete both and set data.download=true"
            )


class TorchvisionImages(ImageDataModule):
    """MNIST, Fashion-MNIST, CIFAR-10, SVHN or CelebA, with their official test sets.

    CelebA is cropped to the 140x140 pixels around the centre, then resized to 64x64, unless
    `image_size` says otherwise; it has no labels here, since its forty attributes are no classes,
    and its official validation images are left unused.

    Example:
        >>> TorchvisionImages("mnist", root="nowhere").setup()
        Traceback (most recent call last):
        gen_models.errors.UsageError: data.root=nowhere: no complete mnist in nowhere/MNIST/raw ...
    """

    def __init__(
        self,
        dataset: str,
        root: str | Path,
        download: bool = False,
        image_size: int | Sequence[int] | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Choose the set and where it lies.

        Args:
            dataset: `mnist`, `fashion_mnist`, `cifar10`, `svhn` or `celeba`.
            root: The folder torchvision keeps its sets in; read only, unless `download`.
            download: Whether `prepare_data` may fetch what is missing.
            image_size: One number or [height, width]; None keeps the images as they are.
            **options: As in `ImageDataModule`.

        Raises:
            UsageError: If an option is outside its range.
        """
        super().__init__(**options)
        if dataset not in SOURCES:
            raise UsageError(f"data.dataset={dataset!r} must be one of {', '.join(SOURCES)}")
        self.name = dataset
        self.source = SOURCES[dataset]
        self.root = Path(root).expanduser()
        self.download = download
        self.image_size = None if image_size is None else height_and_width(image_size)

    def prepare_data(self) -> None:
        """Fetch what is missing, if `download` allows it.

        Raises:
            UsageError: If the download fails.
        """
        if not self.download:
            return
        try:
            for split in self.source.splits:
                self._dataset_class()(str(self.root), download=True, **split)
        except (OSError, RuntimeError, ImportError) as error:
            raise UsageError(
                f"data.download=true: {self.name} could not be fetched into {self.root} "
                f"({first_line(error)}); mend the connection or put the files "
                "there by hand"
            ) from error

    def load(self) -> tuple[ImageSet, ImageSet]:
        """The official training and test images.

        Raises:
            UsageError: If files are missing or damaged.
        """
        train, test = (self._read(split) for split in self.source.splits)
        return train, test

    def _read(self, split: dict[str, Any]) -> ImageSet:
        folder = self.root / self.source.folder
        check_idx_folder(folder)
        try:
            opened = self._dataset_class()(str(self.root), download=False, **split)
        except (OSError, RuntimeError) as error:
            raise UsageError(
                f"data.root={self.root}: no complete {self.name} in {folder} (missing or damaged); "
                "set data.download=true, or data.root to the folder that holds it"
            ) from error
        return self._resized(self.source.read(opened, self.image_size, self._place))

    def _place(self, *shape: int) -> Tensor:
        storage = self.store(math.prod(shape))
        with storage.told():
            return storage.empty(*shape, dtype=torch.uint8)

    def _resized(self, images: ImageSet) -> ImageSet:
        stored = images.images
        if self.image_size in (None, tuple(stored.shape[2:])):
            return images
        resized = self._place(*stored.shape[:2], *self.image_size)
        length = part_length(resized)
        for target, part in zip(resized.split(length), stored.split(length), strict=True):
            target[:] = resize(part, self.image_size)
        return ImageSet(resized, images.labels, images.classes)

    def _dataset_class(self) -> Callable[..., Any]:
        import torchvision.datasets  # heavy, and only needed here

        found: Callable[..., Any] = getattr(torchvision.datasets, self.source.dataset)
        return found
