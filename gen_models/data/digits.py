"""The digits that come with scikit-learn: real images, no download."""

import numpy as np
import torch

from gen_models.data.decode import resize
from gen_models.data.draws import SPLIT_STREAM
from gen_models.data.images import ImageSet
from gen_models.data.module import ImageDataModule
from gen_models.data.splits import permutation

# The test images are the same for everybody and for ever: feature extractors are trained on the
# others, and a number measured on images an extractor has seen would flatter every model.
DIGITS_TEST_SEED = 1797
DIGITS_TEST_COUNT = 360
DIGITS_SIZE = (16, 16)


class Digits(ImageDataModule):
    """1,797 handwritten digits, grey, 16x16, in ten classes.

    scikit-learn holds them (Alpaydin and Kaynak, 1998) as 8x8 pixels of 0..16. They become bytes,
    round(255 v / 16), and are resized once, bicubically, to 16x16: at that size a person still
    recognises them, and a convolutional network can halve them twice and keep a 4x4 map.

    `load` gives 1,437 training and 360 test images. Which ones is fixed by `DIGITS_TEST_SEED`, and
    no option moves it; `split_seed` decides only which training images are held out for validation.

    Example:
        >>> digits = Digits()
        >>> digits.setup()
        >>> print(digits)
        digits 1x16x16: 1293 train, 144 validation, 360 test
    """

    name = "digits"

    def load(self) -> tuple[ImageSet, ImageSet]:
        """The fixed training and test part."""
        from sklearn.datasets import load_digits  # heavy, and only needed here

        stored = load_digits()
        images = np.round(stored.images * 255 / 16).astype(np.uint8)
        digits = ImageSet(
            resize(torch.from_numpy(images)[:, None], DIGITS_SIZE),
            torch.from_numpy(stored.target.astype(np.int64)),
            tuple("0123456789"),
        )
        order = permutation(len(digits), DIGITS_TEST_SEED, SPLIT_STREAM)
        return digits.subset(order[DIGITS_TEST_COUNT:]), digits.subset(order[:DIGITS_TEST_COUNT])
