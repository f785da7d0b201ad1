"""Stacked MNIST: a thousand modes that can be counted (Metz et al., 2017)."""

from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor

from gen_models.data.draws import TEST_STREAM, TRAINING_STREAM, uniform
from gen_models.data.images import ImageSet
from gen_models.data.module import ImageDataModule
from gen_models.data.options import Options
from gen_models.data.splits import check_seed
from gen_models.data.storage import MEMORY, Storage, part_length
from gen_models.data.torchvision_sets import TorchvisionImages
from gen_models.data.toys import at_least

DIGITS = 10


class StackedMnist(ImageDataModule):
    """Random triples of MNIST digits as the three channels of an image, (3, 28, 28).

    Triples for training and validation are of MNIST's training images, those for test of its test
    images; each channel is an independent draw with replacement. The digits are not equally
    frequent, so that the 1000 classes are nearly so only: to uniform classes the law of the
    training triples has a divergence of 0.0043 nats.

    Example:
        >>> StackedMnist(root="nowhere").setup()
        Traceback (most recent call last):
        gen_models.errors.UsageError: data.root=nowhere: no complete mnist in nowhere/MNIST/raw ...
    """

    name = "stacked_mnist"

    def __init__(
        self,
        root: str | Path,
        download: bool = False,
        count: int = 128_000,
        test_count: int = 10_000,
        draw_seed: int = 0,
        **options: Unpack[Options],
    ) -> None:
        """Choose how many triples are drawn.

        Args:
            root: The folder that holds MNIST, as of `TorchvisionImages`; read only, unless
                `download`.
            download: Whether `prepare_data` may fetch what is missing.
            count: Triples for training and validation together; 2,352 bytes each.
            test_count: Triples for test.
            draw_seed: Decides the triples; the seed of the run does not.
            **options: As in `ImageDataModule`.

        Raises:
            UsageError: If an option is outside its range.
        """
        super().__init__(**options)
        self.digits = TorchvisionImages("mnist", root, download)
        self.count = at_least(1, "count", count)
        self.test_count = at_least(1, "test_count", test_count)
        self.draw_seed = check_seed("draw_seed", draw_seed)

    def prepare_data(self) -> None:
        """Fetch MNIST, if `download` allows it.

        Raises:
            UsageError: If the download fails.
        """
        self.digits.prepare_data()

    def load(self) -> tuple[ImageSet, ImageSet]:
        """The triples of training and of test images.

        Raises:
            UsageError: If files are missing or damaged.
        """
        train, test = self.digits.load()
        chosen = (
            uniform(self.count, 3, self.draw_seed, TRAINING_STREAM),
            uniform(self.test_count, 3, self.draw_seed, TEST_STREAM),
        )
        storage = self.store((self.count + self.test_count) * 3 * train.images[0].numel())
        return stacked(train, chosen[0], storage), stacked(test, chosen[1], storage)


def stacked(digits: ImageSet, numbers: Tensor, storage: Storage = MEMORY) -> ImageSet:
    """Triples of grey digits.

    Args:
        digits: (M, 1, H, W), bytes, with labels 0 to 9.
        numbers: (N, 3), float64, inside (0, 1): which digit is which channel.
        storage: Where the triples shall lie.

    Returns:
        (N, 3, H, W), bytes; labels c1 + 10 c2 + 100 c3, so that a class is read "c3 c2 c1".
    """
    assert digits.labels is not None
    chosen = (numbers * len(digits)).long()
    labels = digits.labels[chosen] @ torch.tensor([1, DIGITS, DIGITS**2])
    classes = tuple(f"{label:03d}" for label in range(DIGITS**3))
    grey = digits.images[:, 0]
    images = storage.join(grey[rows] for rows in chosen.split(part_length(digits.images)))
    return ImageSet(images, labels, classes)
