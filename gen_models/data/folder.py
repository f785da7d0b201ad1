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
from gen_models.data.found import EXTENSIONS, Found, find_images, is_image
from gen_models.data.images import ImageSet
from gen_models.data.module import ImageDataModule
from gen_models.data.options import Options
from gen_models.data.storage import PART_BYTES
from gen_models.errors import UsageError

TRAINING_FOLDERS = ("train", "val", "valid", "validation")
SPLIT_FOLDERS = (*TRAINING_FOLDERS, "test")
# What others call them; such a name, in capitals or not, is no class that anybody means.
NAMES_OF_SPLITS = (*SPLIT_FOLDERS, "training", "testing")
SHOWN = 10
"""Unreadable files that a message names; `skipped` holds them all."""


class ImageFolder(ImageDataModule):
    """The images below a folder, of any size and mode, brought to one size and channel count.

    Three layouts are understood, sub-folders of a class folder included:

    - `root/*.png`: no labels;
    - `root/<class>/*.png`: labels, classes sorted by name, and none called as a split is;
    - `root/train` and perhaps `root/test`, each in one of the two forms above: `test` is the
      official test set. Images in `val`, `valid` or `validation` join the training images, so that
      the validation split is drawn here as for every other data set.

    Hidden folders are passed over, links to folders followed.

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

        The latter in an order that is random and always the same.

        Raises:
            UsageError: If there is no image, an unreadable one that may not be skipped, or a layout
                other than the three.
        """
        train, test = self._find()
        # Files come sorted by class, and some measurements look at the first test images alone.
        order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))
        test = [test[place] for place in order]
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
        broken = {path for path, _ in unreadable}
        train, test = ([one for one in part if one[0] not in broken] for part in (train, test))
        # Their classes stay: labels mean the same before the files are mended and after.
        emptied = sorted(set(classes or ()) - {name for _, name in train})
        self._report(unreadable, len(found), emptied)
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
            return self._without_splits(), []
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

    def _without_splits(self) -> Found:
        """The images of a folder that has no `train`; test images must not be taken for a class."""
        found = find_images(self.root)
        holders = [
            path.relative_to(self.root) for path in dict.fromkeys(path.parent for path, _ in found)
        ]
        folders = dict.fromkeys(folder for path in holders for folder in (path, *path.parents))
        splits = [str(folder) for folder in folders if folder.name.casefold() in NAMES_OF_SPLITS]
        if splits:
            raise UsageError(
                f"data.root={self.root}: no train folder, so that {', '.join(splits)} would be "
                "read as classes or parts of one; data.root is the folder that holds train, and "
                f"perhaps {', '.join(SPLIT_FOLDERS[1:])}, in lower case; classes have other names"
            )
        return found

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

    def _report(self, unreadable: list[Unreadable], count: int, emptied: list[str]) -> None:
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
        left = f"; no training images are left of class {', '.join(emptied)}" if emptied else ""
        warnings.warn(f"{message} and are left out ({named}){left}", stacklevel=2)

    def _labels(
        self, found: Found, classes: tuple[str, ...] | None
    ) -> tuple[Tensor | None, tuple[str, ...] | None]:
        if classes is None or any(name is None for _, name in found):
            return None, None
        numbers = {name: number for number, name in enumerate(classes)}
        labels = [numbers[str(name)] for _, name in found]
        return torch.tensor(labels, dtype=torch.int64), classes
