"""A set of images, in bytes or floats, and the hash that names its content."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gen_models.errors import UsageError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in bytes, or data that are none in floats, with labels where there are any.

    Attributes:
        images: (N, C, H, W), uint8, or float32: finite, nominally in [0, 1], never clipped.
        labels: (N,), int64, or None.
        classes: What label 0, 1, ... stands for, or None.

    Raises:
        UsageError: If a dtype, rank or length is another, a float is not finite, or a label has no
            class.

    Example:
        >>> faces = ImageSet(torch.zeros(4, 3, 8, 8, dtype=torch.uint8))
        >>> len(faces), faces.shape, len(faces.subset(torch.tensor([0, 2])))
        (4, (3, 8, 8), 2)
    """

    images: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.images.dtype not in (torch.uint8, torch.float32) or self.images.ndim != 4:
            raise UsageError(
                "ImageSet: images must be uint8, or float32 in [0, 1], of shape (N, C, H, W), "
                f"got {self.images.dtype} of shape {tuple(self.images.shape)}"
            )
        if self.images.is_floating_point():
            self._check_floats()
        if self.labels is not None:
            self._check_labels(self.labels)

    def _check_floats(self) -> None:
        finite = self.images.isfinite().flatten(1).all(1)
        if not finite.all():
            raise UsageError(
                f"ImageSet: image {int((~finite).nonzero()[0])} has values that are not finite; "
                "mend it or leave it out"
            )

    def _check_labels(self, labels: Tensor) -> None:
        if labels.dtype != torch.int64 or labels.shape != self.images.shape[:1]:
            raise UsageError(
                f"ImageSet: labels must be int64 of shape ({len(self)},), "
                f"got {labels.dtype} of shape {tuple(labels.shape)}"
            )
        limit = float("inf") if self.classes is None else len(self.classes)
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < limit:
            raise UsageError(
                f"ImageSet: labels run from {int(labels.min())} to {int(labels.max())}, "
                f"they must lie in 0..{limit - 1}"
            )

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def num_classes(self) -> int | None:
        """How many classes there are, or None without labels."""
        if self.classes is not None or self.labels is None:
            return None if self.classes is None else len(self.classes)
        return int(self.labels.max()) + 1

    def subset(self, indices: Tensor) -> "ImageSet":
        """The images at these indices, (M,), int64, copied in that order."""
        labels = None if self.labels is None else self.labels[indices]
        return ImageSet(self.images[indices], labels, self.classes)


def content_hash(sets: Mapping[str, ImageSet]) -> str:
    """SHA-256 over name, shape, type, images and labels of every set, in hexadecimal.

    Example:
        >>> content_hash({"train": ImageSet(torch.zeros(1, 1, 2, 2, dtype=torch.uint8))})[:8]
        '47f0928c'
    """
    digest = hashlib.sha256()
    for name, images in sorted(sets.items()):
        # Bytes go without saying: their hashes are older than floats.
        kind = "" if images.images.dtype == torch.uint8 else f" {images.images.dtype}"
        header = f"{name} {tuple(images.images.shape)}{kind} {images.labels is None};"
        digest.update(header.encode())
        for tensor in (images.images, images.labels):
            if tensor is not None:
                digest.update(tensor.cpu().contiguous().numpy().reshape(-1).data)
    return digest.hexdigest()
