"""Extractors: frozen, hashed, and right about the images they were made for."""

import hashlib
import shutil

import pytest
import torch

from gen_models.data import Digits
from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation import features as module
from gen_models.evaluation.features import (
    Inception,
    RandomConvolutions,
    ShippedClassifier,
    default_extractor,
)


def test_the_digits_classifier_knows_the_test_digits():
    _, test = Digits().load()
    extractor = ShippedClassifier((1, 16, 16), "digits")
    seen = extractor(to_pixels(test.images))
    assert seen.features.shape == (360, 64)
    assert (seen.logits.argmax(1) == test.labels).float().mean() > 0.97
    assert not any(p.requires_grad for p in extractor.parameters())


@pytest.mark.parametrize(("data", "shape"), list(ShippedClassifier.SHAPES.items()))
def test_identity_is_the_hash_of_the_weights(data, shape):
    extractor = ShippedClassifier(shape, data)
    assert extractor.identity.startswith(f"{data}64@")
    assert sum(f.stat().st_size for f in module.WEIGHTS.glob("*")) < 2_000_000


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    shutil.copytree(module.WEIGHTS, tmp_path / "weights")
    monkeypatch.setattr(module, "WEIGHTS", tmp_path / "weights")
    path = tmp_path / "weights" / "digits.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError, match="damaged"):
        ShippedClassifier((1, 16, 16), "digits")


def test_random_features_do_not_depend_on_any_seed():
    torch.manual_seed(1)
    one = RandomConvolutions((3, 20, 36), "folder")
    torch.manual_seed(2)
    two = RandomConvolutions((3, 9, 9), "folder")
    assert one.identity == two.identity == "random128@48c21d56"
    x = torch.rand(2, 3, 20, 36)
    torch.testing.assert_close(one(x).features, two(x).features)
    assert one(x).features.shape == (2, 128)
    assert RandomConvolutions((1, 9, 9), "folder").identity != one.identity


def test_images_without_a_classifier_get_random_features():
    assert default_extractor((1, 16, 16), "digits").name == "digits64"
    assert default_extractor((1, 28, 28), "mnist").name == "mnist64"
    assert default_extractor((1, 28, 28), "fashion_mnist").name == "random128"
    assert default_extractor((1, 32, 32), "mnist").name == "random128"
    with pytest.raises(UsageError, match="evaluation/features=random"):
        ShippedClassifier((3, 32, 32), "cifar10")


def test_inception_says_how_to_get_its_weights(tmp_path):
    with pytest.raises(UsageError, match=r"evaluation\.features\.weights=FILE") as error:
        Inception((3, 32, 32), "cifar10", weights=str(tmp_path / "none.pth"))
    assert "\n" not in str(error.value)


def test_inception_refuses_a_file_that_it_does_not_know_before_reading_it(tmp_path):
    """A pickle may hold anything; torch-fidelity would run it."""
    payload = tmp_path / "weights.pth"
    torch.save({"anything": torch.ones(1)}, payload)
    with pytest.raises(UsageError, match="does not hold the weights"):
        Inception((3, 32, 32), "cifar10", weights=str(payload))
    with pytest.raises(UsageError, match="1 or 3 channels"):
        Inception((4, 32, 32), "folder", weights=str(payload))


@pytest.mark.filterwarnings("ignore")
def test_inception_sees_grey_and_colour_images(tmp_path, monkeypatch):
    """With random weights: the published ones cannot be shipped."""
    import torch_fidelity.feature_extractor_inceptionv3 as reference

    path = tmp_path / "weights.pth"
    path.write_bytes(b"weights")
    monkeypatch.setattr(Inception, "HASH", hashlib.sha256(b"weights").hexdigest()[:8])
    monkeypatch.setattr(torch, "load", lambda *arguments, **options: {})
    monkeypatch.setattr(
        reference.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None
    )
    for channels in (1, 3):
        extractor = Inception((channels, 20, 36), "folder", weights=str(path))
        assert extractor(torch.rand(2, channels, 20, 36)).features.shape == (2, 2048)
    assert extractor.name == "inception2048"
