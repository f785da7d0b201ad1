"""The normalisation that sees the class."""

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from gen_models.errors import UsageError
from gen_models.networks import ConvGenerator, ConvTrunk, ResNetGenerator
from gen_models.networks.norms import ClassBatchNorm

GENERATORS = [ConvGenerator, ResNetGenerator]


def classes(*labels, of=3):
    return one_hot(torch.tensor(labels), of).float()


def test_one_class_is_batch_normalisation():
    ours, theirs, x = ClassBatchNorm(4, 1), nn.BatchNorm2d(4), torch.randn(5, 4, 3, 3)
    with torch.no_grad():
        for mine, other in ((ours.gain, theirs.weight), (ours.bias, theirs.bias)):
            mine.copy_(other.copy_(torch.randn(4)))
    for _ in range(2):
        torch.testing.assert_close(ours(x, classes(0, 0, 0, 0, 0, of=1)), theirs(x))
    for network in (ours, theirs):
        network.eval()
    torch.testing.assert_close(ours(x, classes(0, 0, 0, 0, 0, of=1)), theirs(x))


def test_gains_and_biases_are_the_classes_own():
    norm, x = ClassBatchNorm(2, 3), torch.randn(4, 2, 5, 5)
    nn.init.normal_(norm.gain)
    nn.init.normal_(norm.bias)
    centred = x - x.mean((0, 2, 3), keepdim=True)
    plain = centred / (x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    made = norm(x, classes(2, 0, 0, 1))
    for index, label in enumerate((2, 0, 0, 1)):
        gain, bias = norm.gain[label, :, None, None], norm.bias[label, :, None, None]
        torch.testing.assert_close(made[index], plain[index] * gain + bias)


@pytest.mark.parametrize("kind", GENERATORS)
def test_classes_begin_alike_and_may_part(kind):
    generator = kind(5 + 3, (1, 8, 8), width=4, norm="class_batch", num_classes=3).eval()
    z = torch.randn(1, 5).expand(3, 5)
    latents = torch.cat([z, classes(0, 1, 2)], dim=1).requires_grad_()
    made = generator(latents)
    torch.testing.assert_close(made[0], made[1])
    torch.testing.assert_close(made[0], made[2])
    for name, parameter in generator.named_parameters():
        if name.endswith(("gain", "bias")) and parameter.shape[0] == 3:
            nn.init.normal_(parameter)
    made = generator(latents)
    assert not torch.allclose(made[0], made[1], atol=1e-3)
    (slope,) = torch.autograd.grad(made.square().sum(), latents)
    assert slope[:, 5:].abs().min() > 0


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_dense_layer_does_not_see_the_class(kind):
    told = kind(5 + 3, (1, 8, 8), norm="class_batch", num_classes=3)
    assert next(told.layers.children()).in_features == 5
    untold = kind(5 + 3, (1, 8, 8), norm="batch", num_classes=3)
    assert next(untold.layers.children()).in_features == 8


def test_dense_layers_before_the_grid_do_not_see_it_either():
    generator = ConvGenerator(8, (1, 8, 8), hidden=[7], norm="class_batch", num_classes=3)
    assert generator.dense[0].in_features == 5
    assert generator(torch.cat([torch.randn(2, 5), classes(0, 2)], dim=1)).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConvGenerator(4, (1, 8, 8), norm="class_batch"),
        lambda: ConvTrunk((1, 16, 16), 2, norm="class_batch"),
    ],
)
def test_who_is_told_no_class_says_so_in_one_line(make):
    with pytest.raises(UsageError, match="class_batch needs the class") as error:
        make()
    assert "\n" not in str(error.value)
