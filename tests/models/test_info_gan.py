"""InfoGAN: the bound on the codes' information, and who moves what for it."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from gen_models.capabilities import SamplesClasses
from gen_models.distributions import GaussianMixture
from gen_models.errors import UsageError
from gen_models.models import InfoGAN
from gen_models.networks import ConvGenerator
from gen_models.objectives import R1, Relativistic

from .conftest import SHAPE, parts
from .test_conditional import DENSE

CODES, CONTINUOUS = 5, 2


def info_gan(**options):
    torch.manual_seed(0)
    made = {**parts(), **DENSE, "codes": CODES, "continuous": CONTINUOUS, **options}
    return InfoGAN(**made)


def inverse_softplus(deviation):
    return math.log(math.expm1(deviation - 1e-4))


def test_codes_that_can_be_read_give_their_entropy_and_an_ignorant_q_nothing():
    model = info_gan()
    z = model.sample_prior(200_000, torch.Generator().manual_seed(0))
    said = torch.zeros(len(z), 1 + CODES + 2 * CONTINUOUS)
    said[:, -CONTINUOUS:] = inverse_softplus(1.0)
    told = {name: nats.mean().item() for name, nats in model.information(said, z).items()}
    assert told["category_nats"] == pytest.approx(0, abs=1e-5)
    assert told["continuous_nats"] == pytest.approx(0, abs=0.01)
    said[:, 1 : 1 + CODES] = 100 * z[:, -CODES:]
    told = model.information(said, z)["category_nats"]
    torch.testing.assert_close(told, torch.full_like(told, math.log(CODES)))


def test_a_gaussian_channel_has_its_capacity():
    """A code N(0, 1) read through noise s tells log(1 + 1/s^2) / 2 nats, by the exact q(c | x)."""
    model, s = info_gan(continuous=1), 0.5
    z = model.sample_prior(400_000, torch.Generator().manual_seed(0))
    noisy = z[:, 0] + s * torch.randn(len(z))
    said = torch.zeros(len(z), 1 + CODES + 2)
    said[:, -2] = noisy / (1 + s**2)
    said[:, -1] = inverse_softplus((s**2 / (1 + s**2)) ** 0.5)
    told = model.information(said, z)["continuous_nats"].mean().item()
    assert told == pytest.approx(0.5 * math.log(1 + 1 / s**2), abs=0.01)


@pytest.mark.parametrize("game", [{}, {"objective": Relativistic()}], ids=["plain", "relativistic"])
def test_losses_written_out(game):
    model = info_gan(**game, weight=0.7, continuous_weight=0.3, penalties={"r1": R1(weight=0.5)})
    x = torch.rand(6, *SHAPE)
    torch.manual_seed(1)
    z = model.sample_prior(6)
    made = torch.sigmoid(2 * model.generator(z))
    real, fake = model.discriminator(x), model.discriminator(made)
    category = (fake[:, 1 : 1 + CODES].softmax(1) * z[:, -CODES:]).sum(1).log() + math.log(CODES)
    mean, raw = fake[:, 1 + CODES :].chunk(2, dim=1)
    q = Normal(mean, nn.functional.softplus(raw) + 1e-4)
    continuous = (q.log_prob(z[:, :2]) + 0.5 * math.log(2 * math.pi * math.e)).sum(1)
    told = 0.7 * category.mean() + 0.3 * continuous.mean()
    torch.manual_seed(1)
    values = model.discriminator_loss(x)
    plain = model.objective.discriminator(real[:, 0], fake[:, 0]).mean() + 0.5 * values["r1"]
    torch.testing.assert_close(values["loss"], plain - told)
    torch.testing.assert_close(values["category_nats"], category.mean())
    torch.testing.assert_close(values["continuous_nats"], continuous.mean())
    torch.manual_seed(1)
    values = model.generator_loss(x)
    plain = model.objective.generator(real[:, 0], fake[:, 0]).mean()
    torch.testing.assert_close(values["loss"], plain - told)


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0)], ids=["category", "continuous"])
def test_both_players_have_a_gradient_of_the_information(weights):
    """The gradient with a weight less that without it is the term's own: for both, not zero."""
    grown = []
    for scale in (0.0, 1.0):
        weight, continuous = (scale * w for w in weights)
        model = info_gan(weight=weight, continuous_weight=continuous)
        gradients = []
        for phase in model.phases():
            torch.manual_seed(2)
            loss = phase.values(torch.rand(6, *SHAPE))["loss"]
            gradients.append(torch.autograd.grad(loss, phase.parameters))
        grown.append(gradients)
    for without, given in zip(*grown, strict=True):
        apart = [(a - b).abs().max().item() for a, b in zip(without, given, strict=True)]
        assert max(apart) > 1e-4
        assert apart[0] > 1e-6  # the layer farthest from the loss


def test_training_makes_the_codes_readable(trainer, images):
    adam = partial(torch.optim.Adam, lr=5e-3, betas=(0.5, 0.999))
    model, name = info_gan(codes=3, continuous=0, optimizer=adam), "train/generator/category_nats"
    trainer(max_epochs=60).fit(model, images)
    told = [row[name] for row in model.history if name in row]
    assert told[0] < 0.2
    assert 0.9 * math.log(3) < told[-1] <= math.log(3)


def test_the_category_has_equal_shares_and_may_be_seen_by_the_normalisation():
    model = info_gan(generator=partial(ConvGenerator, width=4, norm="class_batch"))
    torch.testing.assert_close(model.prior.shares, torch.full((CODES,), 1 / CODES))
    assert model.generator.classes == CODES
    assert model.sample(2).shape == (2, *SHAPE)
    assert not isinstance(model, SamplesClasses)  # its codes are no classes of the data


def held(latent_dim):
    return GaussianMixture(latent_dim).requires_grad_(False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"codes": 0}, r"model\.codes must be"),
        ({"continuous": 4}, r"model\.continuous must lie in 0\.\.latent_dim = 3"),
        ({"packing": 2}, "packing must be 1"),
        ({"prior": held}, "must be standard_normal"),
        ({"prior": partial(GaussianMixture, components=2)}, "GaussianMixture has parameters"),
        ({"weight": -1.0}, r"model\.weight must be 0 or more"),
    ],
)
def test_mistakes_are_told_in_one_line(options, words):
    with pytest.raises(UsageError, match=words) as error:
        info_gan(**options)
    assert "\n" not in str(error.value)
