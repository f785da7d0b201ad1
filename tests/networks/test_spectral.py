"""Spectral normalisation: largest singular values of 1, moved in the discriminator's turn alone."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrize import is_parametrized

from gen_models.models import GAN
from gen_models.models.average import ExponentialAverage
from gen_models.networks import ConvTrunk, MLPGenerator, MLPTrunk, ResNetTrunk

SHAPE = (1, 8, 8)
TRUNKS = [
    partial(MLPTrunk, hidden=(20, 10)),
    partial(MLPTrunk, hidden=(20,), gated=True),
    partial(ConvTrunk, width=4, refine=True),
    partial(ResNetTrunk, width=4, stages=1, further=1, stem=False, projected=True, pooled=True),
]
NAMES = ["mlp", "gated", "conv", "resnet"]


def layers(network):
    return [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


def vectors(network):
    return {key: value.clone() for key, value in network.state_dict().items() if key[-2:] == "_u"}


def same(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


def game(trunk=TRUNKS[0]):
    return GAN(
        shape=SHAPE,
        latent_dim=2,
        generator=partial(MLPGenerator, hidden=(5,)),
        trunk=partial(trunk, spectral=True),
        optimizer=partial(torch.optim.Adam, lr=1e-3),
    )


@pytest.mark.parametrize("make", TRUNKS, ids=NAMES)
def test_every_weight_ends_with_a_largest_singular_value_of_one(make):
    trunk = make(SHAPE, 3, spectral=True)
    with torch.no_grad():
        for _ in range(300):
            trunk(torch.zeros(1, *SHAPE))
    trunk.eval()
    assert layers(trunk)
    for layer in layers(trunk):
        assert is_parametrized(layer, "weight")
        largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]
        assert largest.item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("make", TRUNKS, ids=NAMES)
def test_so_do_the_weights_of_a_network_that_is_averaged_while_it_moves(make):
    torch.manual_seed(0)
    trunk = make(SHAPE, 3, spectral=True)
    average = ExponentialAverage(trunk, half_life=400)
    for _ in range(200):  # each is far from the one before, and so are its singular vectors
        with torch.no_grad():
            for layer in layers(trunk):
                layer.parametrizations.weight.original.normal_()
            trunk(torch.zeros(1, *SHAPE))
        average.update(trunk, images=4)
    average.eval()
    for layer in layers(average):
        largest = torch.linalg.svdvals(layer.weight.flatten(1))[0]
        assert largest.item() == pytest.approx(1, abs=0.03)


def test_a_linear_discriminator_has_slope_one():
    trunk = MLPTrunk(SHAPE, 1, hidden=(), spectral=True).eval()
    x = torch.randn(5, *SHAPE, requires_grad=True)
    (slope,) = torch.autograd.grad(trunk(x).sum(), x)
    torch.testing.assert_close(slope.flatten(1).norm(dim=1), torch.ones(5))


@pytest.mark.parametrize("make", TRUNKS, ids=NAMES)
def test_weights_are_drawn_as_without_it(make):
    torch.manual_seed(3)
    plain = make(SHAPE, 3)
    torch.manual_seed(3)
    bounded = make(SHAPE, 3, spectral=True)
    for one, other in zip(layers(plain), layers(bounded), strict=True):
        assert torch.equal(one.weight, other.parametrizations.weight.original)


@pytest.mark.parametrize("make", TRUNKS, ids=NAMES)
def test_copies_and_stored_states_are_the_same_function(make, tmp_path):
    trunk, x = make(SHAPE, 3, spectral=True), torch.randn(2, *SHAPE)
    trunk(x)
    torch.save(trunk.state_dict(), tmp_path / "state")
    other = make(SHAPE, 3, spectral=True)
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    twin = copy.deepcopy(trunk)
    for network in (trunk, twin, other):
        network.eval()
    assert torch.equal(trunk(x), twin(x))
    assert torch.equal(trunk(x), other(x))
    twin.train()(x)
    assert not same(vectors(trunk), vectors(twin))


def test_a_turn_of_the_discriminator_is_one_step_of_power_iteration():
    gan, x = game(), torch.rand(4, *SHAPE)
    held = gan.discriminator.layers[0].parametrizations.weight
    expected = normalize(held.original @ held[0]._v, dim=0)
    gan.discriminator_loss(x)
    torch.testing.assert_close(held[0]._u, expected)
    again = normalize(held.original @ held[0]._v, dim=0)
    assert not torch.equal(again, expected)


def test_the_generators_turn_and_evaluation_move_nothing():
    gan, x = game(), torch.rand(4, *SHAPE)
    before = vectors(gan.discriminator)
    gan.generator_loss(x)["loss"].backward()
    gan.sample(3)
    assert same(before, vectors(gan.discriminator))
    gan.eval()
    gan.discriminator_loss(x)
    assert same(before, vectors(gan.discriminator))
    gan.train()
    gan.discriminator_loss(x)
    assert not same(before, vectors(gan.discriminator))
