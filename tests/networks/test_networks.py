"""Every network fits every image size, and the published ones have their published sizes."""

from functools import partial

import pytest
import torch
from torch import nn

from gen_models.errors import UsageError
from gen_models.networks import (
    ConvGenerator,
    ConvTrunk,
    MLPGenerator,
    MLPTrunk,
    R3Generator,
    R3Trunk,
    ResNetGenerator,
    ResNetTrunk,
)
from gen_models.networks.layers import Crop, PadToEven, ToGrey, pyramid
from gen_models.networks.resnet import ResidualBlock

PAIRS = [(MLPGenerator, MLPTrunk), (ConvGenerator, ConvTrunk), (ResNetGenerator, ResNetTrunk)]
REFINED = partial(ConvGenerator, refine=True), partial(ConvTrunk, refine=True)
SNGAN = (
    partial(ResNetGenerator, projected=True),
    partial(ResNetTrunk, stages=2, further=2, stem=False, projected=True, pooled=True),
)
EVERY = [*PAIRS, REFINED, SNGAN, (R3Generator, R3Trunk)]
NAMES = ["mlp", "conv", "resnet", "refined", "sngan", "r3"]
SHAPES = [(1, 16, 16), (1, 28, 28), (3, 32, 32), (1, 20, 36), (3, 5, 3), (3, 33, 64), (1, 1, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("generator", "trunk"), EVERY, ids=NAMES)
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


def test_one_channel_is_torchs_transposed_convolution_and_its_gradients():
    """Odd sizes, an empty batch, either layout, half precision; and the second derivative."""
    torch.manual_seed(0)
    ours = ToGrey(5).double()
    torchs = nn.ConvTranspose2d(5, 1, 4, stride=2, padding=1).double()
    torchs.load_state_dict(ours.state_dict())
    for size, layout in (((3, 5), torch.channels_last), ((4, 4), torch.contiguous_format)):
        x = torch.randn(7, 5, *size).double().to(memory_format=layout).requires_grad_()
        sides = []
        for layer in (ours, torchs):
            y = layer(x)
            slopes = torch.autograd.grad(
                y.square().sum(), (x, layer.weight, layer.bias), create_graph=True
            )
            second = torch.autograd.grad(slopes[0].square().sum(), (x, layer.weight))
            sides.append((y, *slopes, *second))
        torch.testing.assert_close(*sides)
        assert sides[0][0].shape == (7, 1, *(2 * side for side in size))
    assert ours(torch.zeros(0, 5, 3, 3).double()).shape == (0, 1, 6, 6)
    ours, torchs, x = ours.float(), torchs.float(), x.float()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(ours(x), torchs(x).float(), rtol=0.02, atol=0.02)


def test_a_generator_of_grey_images_computes_what_torchs_own_layers_do(monkeypatch):
    torch.manual_seed(0)
    generator, z = ConvGenerator(6, (1, 28, 28)), torch.randn(9, 6)
    ours = generator(z)
    assert sum(isinstance(layer, ToGrey) for layer in generator.modules()) == 1
    monkeypatch.setattr(ToGrey, "forward", nn.ConvTranspose2d.forward)
    torch.testing.assert_close(generator(z), ours)


def test_infogan_size_is_that_of_lucic_et_al():
    """Fc 1024, fc 128 * 7 * 7, deconv 4x4 to 64, deconv 4x4 to 1, at 28 x 28 and 64 latents."""
    generator = ConvGenerator(64, (1, 28, 28), width=64, stages=2, hidden=[1024], norm=None)
    dense = (64 * 1024 + 1024) + (1024 * 128 * 49 + 128 * 49)
    deconvolutions = (128 * 64 * 16 + 64) + (64 * 1 * 16 + 1)
    assert sum(p.numel() for p in generator.parameters()) == dense + deconvolutions


def test_weights_of_dcgan_begin_as_its_paper_says():
    """N(0, 0.02^2) and biases 0 (Radford et al., 2016, section 4), of every kind of layer."""
    kinds = torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d
    sizes = {"width": 64, "stages": 2, "hidden": [1024], "deviation": 0.02}
    pair = ConvGenerator(64, (1, 28, 28), **sizes), ConvTrunk((1, 28, 28), 1, **sizes)
    layers = [layer for network in pair for layer in network.modules() if isinstance(layer, kinds)]
    assert {type(layer) for layer in layers} == {
        torch.nn.Linear,
        torch.nn.Conv2d,
        torch.nn.ConvTranspose2d,
        ToGrey,
    }
    for layer in layers:
        count = layer.weight.numel()
        assert layer.bias.eq(0).all()
        assert layer.weight.mean().abs() < 5 * 0.02 / count**0.5
        assert abs(layer.weight.std() / 0.02 - 1) < 5 / (2 * count) ** 0.5


def test_the_first_images_of_dcgan_are_grey_and_torchs_own_lie_at_the_ends():
    """A pixel inside sums 4 places of 64 channels max(n, 0), n ~ N(0, 1): 128 s^2 on average."""
    z = torch.randn(256, 64)
    options = {"width": 64, "stages": 2, "hidden": [1024]}
    grey, torchs = (
        ConvGenerator(64, (1, 28, 28), **options, deviation=s)(z)[..., 1:-1, 1:-1].square().mean()
        for s in (0.02, None)
    )
    assert grey.item() == pytest.approx(128 * 0.02**2, rel=0.15)
    assert torchs > 1


def test_a_start_without_spread_is_refused():
    with pytest.raises(UsageError, match=r"deviation=0\.0 of the first weights must be above 0"):
        ConvTrunk((1, 8, 8), 1, deviation=0.0)


def test_batch_norm_sees_each_feature_of_dense_layers_by_itself():
    """No pattern that is the same for all latents outweighs what they say: InfoGAN's way."""
    made = ConvGenerator(4, (1, 8, 8), hidden=[6, 5])
    assert [type(layer).__name__ for layer in made.dense] == ["Linear", "BatchNorm1d", "ReLU"] * 2
    grid = made.layers[:2](made.dense(torch.randn(512, 4)))
    torch.testing.assert_close(grid.mean(0), torch.zeros(grid.shape[1]), atol=1e-5, rtol=0)
    assert grid.std(0).median() > 0.99
    whole = ConvGenerator(4, (1, 8, 8))  # DCGAN's: the channel over all its places
    assert [type(layer).__name__ for layer in whole.layers[:3]] == [
        "Linear",
        "Unflatten",
        "BatchNorm2d",
    ]
    plain = ConvGenerator(4, (1, 8, 8), hidden=[6], norm=None)
    assert not any("BatchNorm" in type(layer).__name__ for layer in plain.modules())


def size(network):
    return sum(p.numel() for p in network.parameters())


def convolution(inputs, outputs, side):
    return inputs * outputs * side**2 + outputs


def test_a_residual_block_adds_what_it_saw():
    """With a last convolution of 0 it is its shortcut; of bias 5, the shortcut and 5."""
    block, x = ResidualBlock(2, 2, None), torch.randn(3, 2, 4, 4)
    last = block.residual[-1]
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, 5.0)
    torch.testing.assert_close(block(x), x + 5)
    projected = ResidualBlock(2, 3, None)
    nn.init.zeros_(projected.residual[-1].weight)
    nn.init.zeros_(projected.residual[-1].bias)
    assert torch.equal(projected(x), projected.shortcut(x))


def test_what_a_residual_trunks_last_block_says_is_rectified():
    trunk, seen = ResNetTrunk(shape=(1, 8, 8), features=2, width=4), []
    trunk.layers[-1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    trunk(torch.randn(16, 1, 8, 8))
    assert seen[0].min() == 0


def test_refined_size_is_sn_dcgans():
    """Miyato et al. (2018), table 3, at 32 x 32: 3 x 3 before each 4 x 4, and once more."""
    generator = REFINED[0](128, (3, 32, 32), width=64)
    trunk = REFINED[1]((3, 32, 32), 1, width=64)
    pairs = [(512, 256), (256, 128), (128, 64)]
    made = 128 * 512 * 16 + 512 * 16 + sum(convolution(*pair, 4) for pair in pairs)
    assert size(generator) == made + convolution(64, 3, 3) + 2 * (512 + 256 + 128 + 64)
    steps = [(3, 64, 3), (64, 64, 4), (64, 128, 3), (128, 128, 4), (128, 256, 3), (256, 256, 4)]
    judged = sum(convolution(*step) for step in [*steps, (256, 512, 3)])
    assert size(trunk) == judged + 512 * 16 + 1


def test_residual_size_is_sngans():
    """Miyato et al. (2018), table 4, at 32 x 32 and 128 latents."""
    generator = SNGAN[0](128, (3, 32, 32), width=256)
    block = 2 * (convolution(256, 256, 3) + 2 * 256) + convolution(256, 256, 1)
    start, end = 128 * 4096 + 4096, 2 * 256 + convolution(256, 3, 3)
    assert size(generator) == start + 3 * block + end == 4_276_739
    trunk = SNGAN[1]((3, 32, 32), 1, width=128)
    first = convolution(3, 128, 3) + convolution(128, 128, 3) + convolution(3, 128, 1)
    plain = 2 * convolution(128, 128, 3)
    assert size(trunk) == first + 3 * plain + convolution(128, 128, 1) + 128 + 1


def test_features_of_sngan_are_sums_over_the_grid():
    trunk = SNGAN[1]((1, 32, 32), 4, width=6)
    before = trunk.layers[-2](torch.arange(24.0).reshape(1, 2, 3, 4))
    assert before.tolist() == [[66.0, 210.0]]
    assert trunk.layers[-1].in_features == 6


def test_networks_of_old_keep_their_parameters():
    """A checkpoint of before has these names, in this order of drawing."""
    shapes = {
        name: [tuple(p.shape) for p in make.parameters()]
        for name, make in {
            "g": ConvGenerator(2, (1, 8, 8), width=2),
            "t": ConvTrunk((1, 8, 8), 3, width=2),
            "rg": ResNetGenerator(2, (1, 8, 8), width=2),
            "rt": ResNetTrunk((1, 8, 8), 3, width=2),
        }.items()
    }
    conv, block = [(2, 2, 3, 3), (2,)], [(2,), (2,), (2, 2, 3, 3), (2,)]
    assert shapes["g"] == [(32, 2), (32,), (2,), (2,), (2, 1, 4, 4), (1,)]
    assert shapes["t"] == [(2, 1, 4, 4), (2,), (3, 32), (3,)]
    assert shapes["rg"] == [(32, 2), (32,), *block, *block, (2,), (2,), (1, 2, 3, 3), (1,)]
    assert shapes["rt"] == [(2, 1, 3, 3), (2,), *conv, *conv, (3, 32), (3,)]
    assert [*ConvGenerator(2, (1, 8, 8)).state_dict()][2:6] == [
        "layers.2.weight",
        "layers.2.bias",
        "layers.2.running_mean",
        "layers.2.running_var",
    ]
    names = [*ResNetTrunk((1, 8, 8), 3).state_dict()]
    assert names[:4] == [f"layers.{x}" for x in ("0.weight", "0.bias")] + [
        f"layers.1.residual.2.{x}" for x in ("weight", "bias")
    ]


@pytest.mark.parametrize(
    ("network", "shape"),
    [(R3Generator(3, (2, 12, 20), blocks=2), (3,)), (R3Trunk((2, 12, 20), 4), (2, 12, 20))],
    ids=["generator", "trunk"],
)
def test_r3_blocks_begin_as_the_identity(network, shape):
    """Their last convolutions are zero: the whole network begins as an affine map."""
    x, y = torch.randn(2, 5, *shape)
    origin = network(torch.zeros(1, *shape))
    torch.testing.assert_close(network(2 * x - y), 2 * network(x) - network(y), atol=1e-5, rtol=0)
    assert not torch.allclose(network(x), origin.expand_as(network(x)))


def test_r3_blocks_are_grouped_and_scaled_by_their_number():
    """Deviation sqrt(2 / (1 + 0.2^2) / fan-in) L^(-1/4), for L = 2 x 3 blocks at 16 x 16."""
    network = R3Trunk((1, 16, 16), 1, width=64, blocks=2)
    first, _, second, _, last = network.layers[1].residual
    assert second.weight.shape == (128, 16, 3, 3)
    for layer, inputs in ((first, 64), (second, 16 * 9)):
        expected = (2 / 1.04 / inputs) ** 0.5 * 6**-0.25
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
        assert not layer.bias.any()
    assert not last.weight.any()
    assert last.bias is None


def test_sizes_halve_and_round_up_and_come_back():
    assert pyramid((1, 20, 36), None) == [(20, 36), (10, 18), (5, 9), (3, 5), (2, 3)]
    odd = torch.arange(15.0).reshape(1, 1, 5, 3)
    assert PadToEven()(odd).shape == (1, 1, 6, 4)
    assert PadToEven()(torch.tensor([[[[1.0, 2.0, 3.0]]]])).tolist() == [[[[1, 2, 3, 3]] * 2]]
    assert torch.equal(Crop((5, 3))(PadToEven()(odd)), odd)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: ConvGenerator(3, (1, 8, 8), stages=-1), "stages must be 0 or more"),
        (lambda: ResNetTrunk((1, 8, 8), 3, stages=-1), "stages must be 0 or more"),
        (lambda: MLPGenerator(3, (1, 8, 8), hidden=(0,)), "hidden must be 1 or more, not 0"),
        (lambda: MLPTrunk((1, 8, 8), 3, hidden=(4, -3)), "hidden must be 1 or more, not -3"),
        (lambda: MLPTrunk((1, 8, 8), 3, hidden=(0,), gated=True), "hidden must be 1 or more"),
        (lambda: ConvTrunk((1, 8, 8), 3, hidden=(0,)), "hidden must be 1 or more"),
        (lambda: ConvGenerator(3, (1, 8, 8), hidden=(-3,)), "hidden must be 1 or more"),
    ],
)
def test_sizes_that_are_none_are_refused(make, told):
    with pytest.raises(UsageError, match=told):
        make()
