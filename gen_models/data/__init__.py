"""Data: images, or points, on the device; split, scaled and ordered the same for every model."""

from gen_models.data.augmentation import (
    Brightness,
    Composed,
    Contrast,
    Cutout,
    Saturation,
    Translation,
)
from gen_models.data.decode import resize
from gen_models.data.digits import DIGITS_TEST_COUNT, DIGITS_TEST_SEED, Digits
from gen_models.data.folder import ImageFolder
from gen_models.data.images import ImageSet, content_hash
from gen_models.data.linear_gaussian import LinearGaussianData
from gen_models.data.loader import Batch, DeviceLoader, EpochOrder
from gen_models.data.module import ImageDataModule
from gen_models.data.ranges import Scaler, quantise, to_bytes, to_pixels
from gen_models.data.splits import permutation, split
from gen_models.data.stacked_mnist import StackedMnist
from gen_models.data.torchvision_sets import TorchvisionImages
from gen_models.data.toys import Grid, Ring

__all__ = [
    "DIGITS_TEST_COUNT",
    "DIGITS_TEST_SEED",
    "Batch",
    "Brightness",
    "Composed",
    "Contrast",
    "Cutout",
    "DeviceLoader",
    "Digits",
    "EpochOrder",
    "Grid",
    "ImageDataModule",
    "ImageFolder",
    "ImageSet",
    "LinearGaussianData",
    "Ring",
    "Saturation",
    "Scaler",
    "StackedMnist",
    "TorchvisionImages",
    "Translation",
    "content_hash",
    "permutation",
    "quantise",
    "resize",
    "split",
    "to_bytes",
    "to_pixels",
]
