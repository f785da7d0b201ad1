import hashlib

import numpy as np
import torch
from sklearn.datasets import load_digits

from gen_models.data import DIGITS_TEST_COUNT, DIGITS_TEST_SEED, Digits, permutation
from gen_models.data.splits import SPLIT_STREAM


def test_counts_shapes_and_classes():
    train, test = Digits().load()
    assert (len(train), len(test)) == (1437, DIGITS_TEST_COUNT)
    assert train.shape == test.shape == (1, 16, 16)
    assert train.num_classes == 10
    assert (train.images.min(), train.images.max()) == (0, 255)
    assert set(test.labels.tolist()) == set(range(10))


def test_no_option_moves_the_test_images():
    fixed = Digits()
    moved = Digits(split_seed=5, seed=3, test=0.5, limit=200, scaling="standard")
    for data in (fixed, moved):
        data.setup()
    assert torch.equal(fixed.test.images, moved.test.images)
    assert not torch.equal(fixed.validation.images, moved.validation.images)


def test_the_split_is_the_published_one():
    _, test = Digits().load()
    order = permutation(1797, DIGITS_TEST_SEED, SPLIT_STREAM)[:DIGITS_TEST_COUNT]
    assert torch.equal(test.labels, torch.from_numpy(load_digits().target)[order])
    # A frozen feature extractor was trained on the other images; they must never change.
    digest = hashlib.sha256(test.images.numpy().tobytes()).hexdigest()
    assert digest[:12] == "f790417cfcf8"


def test_resized_digits_look_like_the_stored_ones():
    train, _ = Digits().load()
    order = permutation(1797, DIGITS_TEST_SEED, SPLIT_STREAM)[DIGITS_TEST_COUNT:]
    stored = load_digits().images[order.numpy()] / 16
    shrunk = train.images[:, 0].double().reshape(-1, 8, 2, 8, 2).mean((2, 4)) / 255
    # Averaging 2x2 blocks undoes bicubic doubling but for a little sharpening.
    correlation = np.corrcoef(shrunk.numpy().ravel(), stored.ravel())[0, 1]
    assert correlation > 0.99
