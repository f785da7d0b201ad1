"""What every image data module may be told."""

from collections.abc import Callable, Mapping
from typing import TypedDict

from torch import Tensor

from gen_models.data.ranges import Scaler
from gen_models.data.storage import InMemory
from gen_models.errors import UsageError

SCALINGS: dict[str, Callable[[Tensor], Scaler]] = {
    "unit": lambda images: Scaler.unit(images.shape[1]),
    "symmetric": lambda images: Scaler.symmetric(images.shape[1]),
    "standard": Scaler.standard,
}


class Options(TypedDict, total=False):
    """The keyword arguments of every image data module; `ImageDataModule` says what they mean."""

    batch_size: int
    scaling: str
    validation: float
    test: float
    split_seed: int
    seed: int
    limit: int | None
    binarize: str | None
    in_memory: InMemory


def check_options(shares: Mapping[str, float], sizes: Mapping[str, int | None]) -> None:
    """Refuse options outside their range.

    Args:
        shares: Parts of the images, each in [0, 1).
        sizes: Numbers of images, each 1 or more; None: no such number.

    Raises:
        UsageError: If one is outside.
    """
    for option, share in shares.items():
        if not 0 <= share < 1:
            raise UsageError(f"data.{option}={share} must be a share in [0, 1)")
    for option, size in sizes.items():
        if size is not None and size < 1:
            raise UsageError(f"data.{option}={size} must be at least 1")
