"""What counts as an image."""

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.evaluation.contract import as_bytes


def test_floats_are_rounded_and_never_truncated():
    pixels = torch.tensor([0.999, 0.5, 0.0019, 0.0020, 1.0, 0.0]).view(1, 1, 2, 3)
    taken = as_bytes(pixels)
    assert taken.images.flatten().tolist() == [255, 128, 0, 1, 255, 0]
    assert taken.clamped == 0


def test_what_lies_outside_is_clamped_and_counted():
    pixels = torch.tensor([-0.01, 1.004, 0.5, 7.0]).view(1, 1, 2, 2)
    taken = as_bytes(pixels)
    assert taken.images.flatten().tolist() == [0, 255, 128, 255]
    assert taken.clamped == 3


def test_bytes_are_taken_as_they_are():
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(as_bytes(images).images, images)


def test_the_first_image_that_is_not_finite_is_named():
    pixels = torch.full((4, 1, 2, 2), 0.5)
    pixels[2, 0, 1, 1] = float("nan")
    pixels[3] = float("inf")
    with pytest.raises(UsageError, match="the first is number 252"):
        as_bytes(pixels, first=250)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 4, 4), "shape"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.int64), "int64"),
    ],
)
def test_anything_else_is_refused(images, message):
    with pytest.raises(UsageError, match=message):
        as_bytes(images)
