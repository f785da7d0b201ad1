"""Every network fits every image size, and the published one has its published size."""

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.networks import (
    ConvGenerator,
    ConvTrunk,
    MLPGenerator,
    MLPTrunk,
    ResNetGenerator,
    ResNetTrunk,
)
from gen_models.networks.layers import Crop, PadToEven, pyramid

PAIRS = [(MLPGenerator, MLPTrunk), (ConvGenerator, ConvTrunk), (ResNetGenerator, ResNetTrunk)]
SHAPES = [(1, 16, 16), (1, 28, 28), (3, 32, 32), (1, 20, 36), (3, 5, 3), (3, 33, 64), (1, 1, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("generator", "trunk"), PAIRS, ids=["mlp", "conv", "resnet"])
def test_shapes_and_gradients(generator, trunk, shape):
    g, t = generator(latent_dim=5, shape=shape), trunk(shape=shape, features=3)
    z = torch.randn(2, 5)
    images = g(z)
    assert images.shape == (2, *shape)
    assert t(images).shape == (2, 3)
    t(images).square().sum().backward()
    for network in (g, t):
        assert all(p.grad is not None for p in network.parameters())


def test_gated_layers_multiply_a_linear_map_by_a_gate_and_end_in_a_linear_one():
    """Tomczak & Welling's 300-300: 784 -> 300 -> 300, each with a gate of its own weights."""
    torch.manual_seed(0)
    trunk = MLPTrunk((1, 2, 3), 4, hidden=(5,), gated=True)
    first, _, last = trunk.layers
    x = torch.randn(7, 1, 2, 3)
    value, gate = first.weight.split(5), first.bias.split(5)
    linear, opening = (x.flatten(1) @ w.T + b for w, b in zip(value, gate, strict=True))
    torch.testing.assert_close(trunk(x), last(linear * opening.sigmoid()))
    published = MLPTrunk((1, 28, 28), 80, hidden=(300, 300), gated=True)
    count = sum(p.numel() for p in published.parameters())
    assert count == 2 * (784 * 300 + 300) + 2 * (300 * 300 + 300) + 300 * 80 + 80


def test_no_hidden_layers_make_a_linear_map():
    generator = MLPGenerator(2, (1, 1, 3), hidden=())
    z = torch.randn(5, 2)
    bias = generator(torch.zeros(1, 2))
    torch.testing.assert_close(generator(2 * z) - bias, 2 * (generator(z) - bias))


@pytest.mark.parametrize("norm", ["batch", "group", None])
@pytest.mark.parametrize(("generator", "trunk"), PAIRS[1:], ids=["conv", "resnet"])
def test_normalisations(generator, trunk, norm):
    assert generator(4, (1, 8, 8), norm=norm)(torch.randn(2, 4)).shape == (2, 1, 8, 8)
    assert trunk((1, 8, 8), 2, norm=norm)(torch.randn(2, 1, 8, 8)).shape == (2, 2)


def test_unknown_normalisation_names_the_choices():
    with pytest.raises(UsageError, match="batch, group or null"):
        ConvGenerator(4, (1, 8, 8), norm="layer")


def test_the_image_itself_is_neither_normalised_nor_rectified():
    outputs = ConvGenerator(4, (1, 16, 16))(torch.randn(64, 4))
    assert outputs.min() < 0 < outputs.max()


def test_infogan_size_is_that_of_lucic_et_al():
    """Fc 1024, fc 128 * 7 * 7, deconv 4x4 to 64, deconv 4x4 to 1, at 28 x 28 and 64 latents."""
    generator = ConvGenerator(64, (1, 28, 28), width=64, stages=2, hidden=[1024], norm=None)
    dense = (64 * 1024 + 1024) + (1024 * 128 * 49 + 128 * 49)
    deconvolutions = (128 * 64 * 16 + 64) + (64 * 1 * 16 + 1)
    assert sum(p.numel() for p in generator.parameters()) == dense + deconvolutions


def test_sizes_halve_and_round_up_and_come_back():
    assert pyramid((1, 20, 36), None) == [(20, 36), (10, 18), (5, 9), (3, 5), (2, 3)]
    odd = torch.arange(15.0).reshape(1, 1, 5, 3)
    assert PadToEven()(odd).shape == (1, 1, 6, 4)
    assert torch.equal(Crop((5, 3))(PadToEven()(odd)), odd)
