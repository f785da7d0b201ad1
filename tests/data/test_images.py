import hashlib

import pytest
import torch

from gen_models.data.images import ImageSet, content_hash
from gen_models.errors import UsageError

IMAGES = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)


def test_a_subset_keeps_images_labels_and_classes_together():
    images = torch.arange(16).to(torch.uint8).reshape(4, 1, 2, 2)
    chosen = ImageSet(images, torch.tensor([0, 1, 0, 1]), ("a", "b")).subset(torch.tensor([3, 0]))
    assert len(chosen) == 2
    assert chosen.images[:, 0, 0, 0].tolist() == [12, 0]
    assert chosen.labels.tolist() == [1, 0]
    assert (chosen.shape, chosen.classes, chosen.num_classes) == ((1, 2, 2), ("a", "b"), 2)


def test_classes_are_counted_from_names_or_labels_or_not_at_all():
    labels = torch.tensor([0, 1, 4, 1])
    assert ImageSet(IMAGES, labels).num_classes == 5
    assert ImageSet(IMAGES).num_classes is None
    assert ImageSet(IMAGES, labels, tuple("abcdefg")).num_classes == 7


@pytest.mark.parametrize(
    "arguments",
    [
        (IMAGES.double(),),
        (IMAGES.float() / 0,),
        (IMAGES.long(),),
        (IMAGES[0],),
        (IMAGES, torch.zeros(4)),
        (IMAGES, torch.zeros(3, dtype=torch.int64)),
        (IMAGES, torch.zeros(4, 1, dtype=torch.int64)),
        (IMAGES, torch.tensor([0, 1, 2, 0]), ("a", "b")),
        (IMAGES, torch.tensor([0, -1, 1, 0])),
    ],
)
def test_what_is_no_image_set_is_refused(arguments):
    with pytest.raises(UsageError, match=r"^ImageSet: [^\n]+$"):
        ImageSet(*arguments)


def test_the_hash_is_sha256_over_a_header_and_the_bytes():
    expected = hashlib.sha256(b"only (4, 1, 2, 2) False;" + bytes(16) + bytes(4 * 8)).hexdigest()
    assert content_hash({"only": ImageSet(IMAGES, torch.zeros(4).long())}) == expected


def test_floats_stay_as_they_are_in_range_or_not():
    points = torch.tensor([-0.5, 0.1, 1.5, 0.3]).view(4, 1, 1, 1)
    points_set = ImageSet(points, torch.arange(4))
    assert points_set.subset(torch.tensor([2])).images.item() == 1.5
    assert points_set.images is points


def test_the_first_float_that_is_not_finite_is_named():
    points = torch.zeros(4, 1, 2, 2)
    points[2, 0, 1, 1] = torch.nan
    points[3] = torch.inf
    with pytest.raises(UsageError, match="image 2 has values that are not finite"):
        ImageSet(points)


def test_the_hash_of_floats_says_that_they_are_floats():
    points = torch.zeros(4, 1, 2, 2)
    header = b"only (4, 1, 2, 2) torch.float32 True;"
    expected = hashlib.sha256(header + bytes(4 * 16)).hexdigest()
    assert content_hash({"only": ImageSet(points)}) == expected


def test_the_hash_sees_content_and_nothing_but_content():
    def digest(images=IMAGES, labels=None, name="train"):
        return content_hash({name: ImageSet(images, labels)})

    pixel = IMAGES.clone()
    pixel[2, 0, 1, 1] = 1
    zeros = torch.zeros(4, dtype=torch.int64)
    others = [
        digest(pixel),
        digest(IMAGES.reshape(4, 1, 4, 1)),
        digest(labels=zeros),
        digest(labels=torch.tensor([0, 0, 1, 0])),
        digest(name="test"),
    ]
    assert len({digest(), *others}) == 6
    assert digest(IMAGES.clone().transpose(2, 3)) == digest()
