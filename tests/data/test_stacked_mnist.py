"""Triples of digits: channels, labels, draws and splits; MNIST itself where it is there."""

import numpy as np
import pytest
import torch

from gen_models.data import StackedMnist, TorchvisionImages
from gen_models.data.stacked_mnist import stacked
from gen_models.errors import UsageError

from .test_storage import mapped
from .test_torchvision_sets import REAL, write_idx

COUNTS = {"train": 50, "t10k": 30}


@pytest.fixture
def root(tmp_path):
    """A stand-in for MNIST: image i of training is filled with i, of test with 100 + i."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for first, (part, count) in zip((0, 100), COUNTS.items(), strict=True):
        levels = np.arange(first, first + count, dtype=np.uint8)
        images = levels[:, None, None] + np.zeros((1, 28, 28), np.uint8)
        write_idx(raw / f"{part}-images-idx3-ubyte", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte", levels % 10)
    return tmp_path


def ready(root, **options):
    data = StackedMnist(root, **{"count": 1000, "test_count": 200, **options})
    data.setup()
    return data


def test_labels_are_read_from_the_channels(root):
    data = ready(root)
    assert (data.name, data.shape, data.num_classes) == ("stacked_mnist", (3, 28, 28), 1000)
    assert (len(data.train), len(data.validation), len(data.test)) == (900, 100, 200)
    for split, first in ((data.train, 0), (data.validation, 0), (data.test, 100)):
        levels = split.images[:, :, 0, 0].long()
        assert torch.equal(split.images.amax((2, 3)).long(), levels)
        assert ((levels >= first) & (levels < first + 50)).all()
        digits = levels % 10
        expected = digits[:, 0] + 10 * digits[:, 1] + 100 * digits[:, 2]
        assert torch.equal(split.labels, expected)
        assert [split.classes[label] for label in split.labels[:5]] == [
            f"{c}{b}{a}" for a, b, c in digits[:5].tolist()
        ]


def test_channels_are_independent_and_uniform_over_images(root):
    levels = ready(root, count=40_000).train.images[:, :, 0, 0].double()
    assert (levels.mean(0) - 24.5).abs().max() < 4 * 14.43 / 36_000**0.5
    correlations = torch.corrcoef(levels.T) - torch.eye(3)
    assert correlations.abs().max() < 4 / 36_000**0.5
    assert sorted(levels.unique().tolist()) == list(range(50))


def test_draws_hang_on_the_draw_seed_alone(root):
    state = torch.random.get_rng_state()
    first, again, other = ready(root), ready(root, seed=5), ready(root, draw_seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert not torch.equal(first.train.labels, other.train.labels)
    assert not torch.equal(first.test.labels, other.test.labels)
    # More triples begin with the same ones.
    more = StackedMnist(root, count=1500, test_count=300).load()
    for part, few in zip(more, StackedMnist(root, count=1000, test_count=200).load(), strict=True):
        assert torch.equal(part.images[: len(few)], few.images)


def test_triples_are_drawn_to_where_in_memory_says(root, monkeypatch):
    """A part at a time: all of them take 301 MB at their default number."""
    monkeypatch.setattr("gen_models.data.storage.PART_BYTES", 7 * 28 * 28)
    memory, disk = (
        StackedMnist(root, count=40, test_count=9, in_memory=place).load()
        for place in (True, False)
    )
    for held, kept in zip(memory, disk, strict=True):
        assert (mapped(held.images), mapped(kept.images)) == (False, True)
        assert torch.equal(held.images, kept.images)
        assert torch.equal(held.labels, kept.labels)


def test_the_first_and_the_last_digit_can_be_drawn(root):
    digits = TorchvisionImages("mnist", root).load()[0]
    ends = torch.tensor([[1e-12, 0.5, 1 - 1e-12]], dtype=torch.float64)
    assert stacked(digits, ends).images[0, :, 0, 0].tolist() == [0, 25, 49]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "data.count=0 must be a whole number, 1 or more"),
        ({"test_count": 2.5}, "data.test_count=2.5"),
        ({"draw_seed": -1}, "data.draw_seed=-1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(root, options, message):
    with pytest.raises(UsageError, match=message):
        ready(root, **options)


def test_a_folder_without_mnist_is_named(tmp_path):
    with pytest.raises(UsageError, match="no complete mnist"):
        StackedMnist(tmp_path).setup()


@pytest.mark.skipif(not (REAL / "MNIST/raw").exists(), reason=f"no MNIST below {REAL}")
def test_real_digits_are_nearly_uniform_and_their_classifier_agrees():
    """The digits' unequal shares cost 3 x 0.00143 nats; 99.3 % of each channel is named rightly."""
    from gen_models.evaluation import StackedClassifier

    data = StackedMnist(REAL, count=2000, test_count=1000)
    train, test = data.load()
    shares = data.digits.load()[0].labels.bincount() / 60_000
    assert 3 * (shares * (10 * shares).log()).sum() == pytest.approx(0.0043, abs=5e-5)
    assert (train.shape, len(train)) == ((3, 28, 28), 2000)
    seen = StackedClassifier((3, 28, 28), "stacked_mnist")(test.images / 255)
    right = (seen.logits.argmax(1) == test.labels).float().mean()
    assert right == pytest.approx(0.99**3, abs=0.02)
