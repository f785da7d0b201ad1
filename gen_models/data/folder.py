"""Any folder of images, with or without a sub-folder per class."""

import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from gen_models.data.decode import Unreadable, height_and_width, read_images
from gen_models.data.images import ImageSet
from gen_models.data.module import ImageDataModule
from gen_models.data.options import Options
from gen_models.data.storage import PART_BYTES
from gen_models.errors import UsageError

# torchvision's IMG_EXTENSIONS and GIF; anything else in the folder is passed over.
EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
TRAINING_FOLDERS = ("train", "val", "valid", "validation")
SPLIT_FOLDERS = (*TRAINING_FOLDERS, "test")
SHOWN = 10
"""Unreadable files that a message names; `skipped` holds them all."""
# Found files with their class, None where there are no class folders.
Found = list[tuple[Path, str | None]]


def is_image(path: Path) -> bool:
    """Whether a path is a file with an image's extension and no hidden one.

    Example:
        >>> is_image(Path("no/such/file.png"))
        False
    """
    return path.suffix.lower() in EXTENSIONS and path.name[0] != "." and path.is_file()


def find_images(folder: Path) -> Found:
    """The images of one split, sorted by path: loose in the folder, or one sub-folder per class.

    Raises:
        UsageError: If there are both.
    """
    entries = sorted(folder.iterdir(), key=lambda path: path.name)
    loose: Found = [(path, None) for path in entries if is_image(path)]
    classed: Found = [
        (path, entry.name)
        for entry in entries
        if entry.is_dir() and entry.name[0] != "."
        for path in sorted(entry.rglob("*"), key=lambda path: path.as_posix())
        if is_image(path)
    ]
    if loose and classed:
        raise UsageError(
            f"data.root: {folder} holds loose images ({loose[0][0].name}) beside folders of images "
            f"({classed[0][1]}); put every image into a class folder, or none"
        )
    return loose or classed


class ImageFolder(ImageDataModule):
    """The images below a folder, of any size and mode, brought to one size and channel count.

    Three layouts are understood, sub-folders of a class folder included:

    - `root/*.png`: no labels;
    - `root/<class>/*.png`: labels, classes sorted by name;
    - `root/train` and perhaps `root/test`, each in one of the two forms above: `test` is the
      official test set. Images in `val`, `valid` or `validation` join the training images, so that
      the validation split is drawn here as for every other data set.

    The shorter side is scaled to `image_size` (bicubic, antialiased), the longer one cut evenly.
    What becomes of palettes, transparency, 16 bits and the like stands in `decode.standardise`.
    Every file is tried before anything is said, so that one run names all that are broken.
    """

    name = "folder"

    def __init__(
        self,
        root: str | Path,
        image_size: int | Sequence[int] = 32,
        channels: int | None = None,
        on_error: str = "raise",
        **options: Unpack[Options],
    ) -> None:
        """Choose the folder and what its images shall become.

        Args:
            root: The folder.
            image_size: One number or [height, width].
            channels: 1 or 3; None means 1 if every image is grey and 3 otherwise.
            on_error: `raise` to stop at unreadable files, `skip` to go on without them.
            **options: As in `ImageDataModule`.

        Raises:
            UsageError: If an option is outside its range.
        """
        super().__init__(**options)
        if channels not in (None, 1, 3):
            raise UsageError(f"data.channels={channels} must be 1, 3 or null")
        if on_error not in ("raise", "skip"):
            raise UsageError(f"data.on_error={on_error!r} must be one of raise, skip")
        self.root = Path(root).expanduser()
        self.image_size = height_and_width(image_size)
        self.channels = channels
        self.on_error = on_error

    def load(self) -> tuple[ImageSet, ImageSet | None]:
        """The training images and, if there is a `test` folder with images, those of the test set.

        Raises:
            UsageError: If there is no image, an unreadable one that may not be skipped, or a layout
                other than the three.
        """
        train, test = self._find()
        found = train + test
        if not found:
            raise UsageError(
                f"data.root={self.root}: no images in this folder; accepted are "
                f"{' '.join(EXTENSIONS)}"
            )
        classes, official = self._classes(train, test), bool(test)
        storage = self.store(len(found) * (self.channels or 3) * math.prod(self.image_size))
        unreadable: list[Unreadable] = []
        images = storage.join(self._read([path for path, _ in found], unreadable))
        self._report(unreadable, len(found))
        broken = {path for path, _ in unreadable}
        train, test = ([one for one in part if one[0] not in broken] for part in (train, test))
        sets = (
            ImageSet(images[: len(train)], *self._labels(train, classes)),
            ImageSet(images[len(train) :], *self._labels(test, classes)),
        )
        return sets[0], sets[1] if official else None

    def _read(self, paths: Sequence[Path], unreadable: list[Unreadable]) -> Iterator[Tensor]:
        """The images that can be read, a part at a time; the others are added to the list."""
        size = max(1, PART_BYTES // (3 * math.prod(self.image_size)))
        for start in range(0, len(paths), size):
            read = read_images(paths[start : start + size], self.image_size, self.channels)
            unreadable += [image for image in read if isinstance(image, Unreadable)]
            good = [image for image in read if not isinstance(image, Unreadable)]
            channels = max((len(image) for image in good), default=1)
            images = np.empty((len(good), channels, *self.image_size), dtype=np.uint8)
            for target, image in zip(images, good, strict=True):
                target[:] = image  # a single channel is repeated
            yield torch.from_numpy(images)

    def _find(self) -> tuple[Found, Found]:
        if self.root.is_file():
            raise UsageError(
                f"data.root={self.root}: this is a file; give the folder of the images, and unpack "
                "an archive first"
            )
        if not self.root.is_dir():
            raise UsageError(f"data.root={self.root}: there is no such folder; give one of images")
        if not (self.root / "train").is_dir():
            return find_images(self.root), []
        others = [path for path in sorted(self.root.iterdir()) if path.name not in SPLIT_FOLDERS]
        for other in others:
            if is_image(other) or (other.is_dir() and find_images(other)):
                raise UsageError(
                    f"data.root={self.root}: {other.name} lies beside the train folder but is no "
                    f"split; move it away or into one of {', '.join(SPLIT_FOLDERS)}"
                )
        splits = {
            name: find_images(self.root / name)
            for name in SPLIT_FOLDERS
            if (self.root / name).is_dir()
        }
        train = [found for name in TRAINING_FOLDERS for found in splits.get(name, [])]
        return train, splits.get("test", [])

    def _classes(self, train: Found, test: Found) -> tuple[str, ...] | None:
        known = {name for _, name in train}
        unknown = {name for _, name in test} - known - {None}
        if None in known and len(known) > 1:
            raise UsageError(
                f"data.root={self.root}: some of its training folders have class folders and some "
                "have none; give all of them classes, or none"
            )
        if unknown:
            raise UsageError(
                f"data.root={self.root}: class {min(map(str, unknown))} of the test images has no "
                "training images; give it some, or take it out"
            )
        return None if None in known else tuple(sorted(map(str, known)))

    def _report(self, unreadable: list[Unreadable], count: int) -> None:
        if not unreadable:
            return
        shown = unreadable[:SHOWN]
        named = "; ".join(f"{path.relative_to(self.root)}: {reason}" for path, reason in shown)
        named += "; ..." if len(unreadable) > len(shown) else ""
        message = f"data.root={self.root}: {len(unreadable)} of {count} images cannot be read"
        if self.on_error == "raise" or len(unreadable) == count:
            raise UsageError(
                f"{message} ({named}); mend or remove them, or go on without them by "
                "data.on_error=skip"
            )
        self.skipped = unreadable
        warnings.warn(f"{message} and are left out ({named})", stacklevel=2)

    def _labels(
        self, found: Found, classes: tuple[str, ...] | None
    ) -> tuple[Tensor | None, tuple[str, ...] | None]:
        if classes is None or any(name is None for _, name in found):
            return None, None
        numbers = {name: number for number, name in enumerate(classes)}
        labels = [numbers[str(name)] for _, name in found]
        return torch.tensor(labels, dtype=torch.int64), classes
