"""Extractors: frozen, hashed, and right about the images they were made for."""

import hashlib
import shutil

import pytest
import torch

from gen_models.data import Digits
from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation import (
    Inception,
    Network,
    PixelComponents,
    RandomConvolutions,
    ShippedClassifier,
    default_extractor,
    second_extractor,
)
from gen_models.evaluation.extractors import classifiers as module


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
    assert default_extractor((1, 28, 28), "mnist_binarized_dynamic").name == "mnist64"
    assert second_extractor((1, 28, 28), "mnist_binarized_static").name == "random128"
    assert default_extractor((1, 28, 28), "fashion_mnist").name == "random128"
    assert default_extractor((1, 32, 32), "mnist").name == "random128"
    with pytest.raises(UsageError, match="evaluation/features=random"):
        ShippedClassifier((3, 32, 32), "cifar10")


def test_the_second_extractor_is_of_another_kind():
    train = torch.randint(0, 256, (50, 3, 32, 32), dtype=torch.uint8)
    for shape, data in (((1, 16, 16), "digits"), ((3, 32, 32), "cifar10")):
        pair = [f(shape, data, train) for f in (default_extractor, second_extractor)]
        assert pair[0].name != pair[1].name
        for extractor in pair:
            assert extractor(torch.rand(2, *shape)).features.shape == (2, extractor.dimension)


def test_principal_components_hold_the_variance_that_they_should():
    train = Digits().load()[0].images
    extractor = PixelComponents((1, 16, 16), "digits", train, dimension=10)
    rows = to_pixels(train).flatten(1).double()
    known = torch.linalg.svdvals(rows - rows.mean(0))[:10].square() / len(rows)
    seen = extractor(to_pixels(train)).features.double()
    torch.testing.assert_close(seen.var(0, correction=0), known, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(seen.mean(0), torch.zeros(10).double(), atol=1e-5, rtol=0)
    # Another training image, another ruler.
    other = PixelComponents((1, 16, 16), "digits", train[1:], dimension=10)
    assert other.identity != extractor.identity
    assert PixelComponents((1, 4, 4), "x", train[:, :, :4, :4]).name == "pca16"
    with pytest.raises(UsageError, match="training images"):
        PixelComponents((1, 16, 16), "digits")


class Mean(torch.nn.Module):
    """Channel means: (B, C, 1, 1), as a backbone without its last pooling."""

    def forward(self, x):
        return x.mean((2, 3), keepdim=True)


def test_any_network_is_an_extractor():
    extractor = Network(
        (1, 8, 8),
        "digits",
        network=Mean(),
        name="mean",
        size=20,
        channels=3,
        mean=(0.1, 0.2, 0.3),
        deviation=(0.5, 0.5, 0.5),
    )
    assert extractor.name == "mean3"
    assert extractor.dimension == 3
    seen = extractor(torch.full((2, 1, 8, 8), 0.4)).features
    torch.testing.assert_close(seen[0], torch.tensor([0.6, 0.4, 0.2]))
    with pytest.raises(UsageError, match="sees 1 channels, the images have 3"):
        Network((3, 8, 8), "x", network=Mean(), name="mean", channels=1)
    with pytest.raises(UsageError, match="two finite vectors"):
        Network((1, 8, 8), "x", network=torch.nn.Flatten(0), name="flat")


def test_weights_that_are_not_the_published_ones_are_refused(monkeypatch):
    monkeypatch.setattr(RandomConvolutions, "KEY", 1)
    with pytest.raises(UsageError, match="other weights"):
        RandomConvolutions((1, 16, 16), "digits")


def test_inception_says_how_to_get_its_weights(tmp_path):
    with pytest.raises(UsageError, match=r"evaluation\.features\.inception\.weights=FILE") as error:
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
