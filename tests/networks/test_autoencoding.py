"""The discriminator that is an autoencoder: errors that are known."""

from functools import partial

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.networks import AutoencodingTrunk, MLPGenerator, MLPTrunk

LINEAR = {"trunk": partial(MLPTrunk, hidden=()), "generator": partial(MLPGenerator, hidden=())}


def made(shape, code):
    return AutoencodingTrunk(shape=shape, features=1, code=code, **LINEAR)


def filled(network, encoder, decoder):
    weights = zip((network.encoder, network.decoder), (encoder, decoder), strict=True)
    with torch.no_grad():
        for half, weight in weights:
            half.layers[0].weight.copy_(weight)
            half.layers[0].bias.zero_()
    return network


def test_what_is_written_down_whole_costs_nothing_and_what_is_lost_its_mean_size():
    x = torch.randn(5, 2, 1, 3)
    whole = filled(made((2, 1, 3), 6), torch.eye(6), torch.eye(6))
    assert torch.equal(whole(x), torch.zeros(5, 1))
    half = torch.eye(6)[:3]
    lost = x.flatten(1)[:, 3:].abs().sum(1, keepdim=True) / 6
    torch.testing.assert_close(filled(made((2, 1, 3), 3), half, half.T)(x), -lost)


def test_gradients_flow_through_the_image_and_its_reconstruction():
    x = torch.randn(1, 1, 1, 2, requires_grad=True)
    doubled = filled(made((1, 1, 2), 2), torch.eye(2), 3 * torch.eye(2))
    (slope,) = torch.autograd.grad(doubled(x).sum(), x)
    torch.testing.assert_close(slope, -(3 - 1) * x.detach().sign() / 2)


def test_it_says_one_number_alone():
    with pytest.raises(UsageError, match="gives 1 number an image, not 3"):
        AutoencodingTrunk(shape=(1, 2, 2), features=3, **LINEAR)
