"""The conditional GAN: log-ratios of each class, and a GAN where the class says nothing."""

from functools import partial

import pytest
import torch
from torch.distributions import Normal
from torch.nn.functional import cross_entropy, one_hot, softplus

from gen_models.capabilities import SamplesClasses
from gen_models.data import Digits
from gen_models.errors import UsageError
from gen_models.models import GAN, ConditionalGAN, ConditionalVAE
from gen_models.networks import ConvGenerator, MLPGenerator, MLPTrunk
from gen_models.objectives import (
    R1,
    AuxiliaryClassifier,
    Hinge,
    NegativeELBO,
    NonSaturating,
    Projection,
    Relativistic,
)

from .conftest import SHAPE, parts
from .test_conditional import DENSE

CLASSES = 4
LABELS = torch.tensor([0, 3, 1, 1, 2, 0])


def conditional(kind=ConditionalGAN, classes=CLASSES, **options):
    torch.manual_seed(0)
    return kind(**{**parts(), **DENSE, "num_classes": classes, **options})


def last(trunk):
    return trunk.layers[-1]


def test_the_optimal_projection_is_each_classs_log_ratio():
    """A linear trunk can be -log q + log p of Gaussians of one deviation, for each class."""
    real, fake = Normal(torch.tensor([0.0, 1.0]), 1.0), Normal(torch.tensor([1.5, 0.5]), 1.0)
    linear = partial(MLPTrunk, hidden=())
    model = conditional(classes=2, shape=(1, 1, 1), trunk=linear).double()
    x = torch.linspace(-8, 9, 2001, dtype=torch.float64)
    images = x.repeat_interleave(2).reshape(-1, 1, 1, 1)
    labels = torch.arange(2).repeat(len(x))
    p, q = (law.log_prob(x[:, None]).exp().flatten() for law in (real, fake))
    fit = torch.optim.LBFGS(model.discriminator.parameters(), max_iter=200, tolerance_change=1e-12)

    def loss():
        fit.zero_grad()
        logits = model.logits(model.judge(images), labels)
        zero = torch.zeros_like(logits)
        value = p * model.objective.discriminator(logits, zero)
        value = (value + q * model.objective.discriminator(zero, logits)).sum() / (p + q).sum()
        value.backward()
        return value

    for _ in range(5):
        fit.step(loss)
    expected = (real.log_prob(x[:, None]) - fake.log_prob(x[:, None])).flatten()
    torch.testing.assert_close(
        model.logits(model.judge(images), labels), expected, atol=2e-3, rtol=0
    )


@pytest.mark.parametrize("game", [NonSaturating(), Hinge(), Relativistic()])
def test_embeddings_of_zero_and_a_deaf_generator_make_it_the_gan(game):
    penalties = {"r1": R1(weight=0.5)}
    plain = GAN(**{**parts(), **DENSE}, objective=game, penalties=penalties)
    model = conditional(objective=game, penalties=penalties)
    state = plain.state_dict()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            here = tuple(slice(0, n) for n in state[key].shape) if key in state else ()
            if key in state:
                value.zero_()[here] = state[key]
    x = torch.rand(6, *SHAPE)
    for turn in ("discriminator_loss", "generator_loss"):
        values = []
        for each in (plain, model):
            torch.manual_seed(1)
            values.append(getattr(each, turn)(x, LABELS))
        # Not to the bit: a product with a column for each class may sum in another order.
        torch.testing.assert_close(*values, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("fake", [False, True])
@pytest.mark.parametrize("game", [NonSaturating(), Relativistic()])
def test_the_losses_of_an_auxiliary_classifier_written_out(fake, game):
    costs = AuxiliaryClassifier(weight=0.7, fake=fake)
    penalties = {"r1": R1(weight=0.5)}
    model = conditional(conditioning=costs, objective=game, penalties=penalties)
    x = torch.rand(6, *SHAPE)
    torch.manual_seed(1)
    made = torch.sigmoid(2 * model.generator(model.latents(LABELS)))
    real, generated = model.discriminator(x), model.discriminator(made)
    named = [cross_entropy(said[:, 1:], LABELS) for said in (real, generated)]
    torch.manual_seed(1)
    values = model.discriminator_loss(x, LABELS)
    expected = game.discriminator(real[:, 0], generated[:, 0]).mean() + 0.5 * values["r1"]
    expected = expected + 0.7 * (named[0] + named[1] if fake else named[0])
    torch.testing.assert_close(values["loss"], expected)
    torch.testing.assert_close(values["real_class_nats"], named[0])
    torch.manual_seed(1)
    values = model.generator_loss(x, LABELS)
    game_value = game.generator(real[:, 0], generated[:, 0]).mean()
    torch.testing.assert_close(values["loss"], game_value + 0.7 * named[1])


def test_projected_losses_written_out():
    model, x = conditional(), torch.rand(6, *SHAPE)
    torch.manual_seed(1)
    made = torch.sigmoid(2 * model.generator(model.latents(LABELS)))
    rows = torch.arange(6)
    real, fake = (
        said[:, 0] + said[rows, 1 + LABELS]
        for said in (model.discriminator(x), model.discriminator(made))
    )
    torch.manual_seed(1)
    loss = model.discriminator_loss(x, LABELS)["loss"]
    torch.testing.assert_close(loss, (softplus(-real) + softplus(fake)).mean())
    torch.manual_seed(1)
    torch.testing.assert_close(model.generator_loss(x, LABELS)["loss"], softplus(-fake).mean())


@pytest.mark.parametrize(
    "options",
    [{}, {"generator": partial(ConvGenerator, width=4, norm="class_batch")}],
    ids=["in the vector", "in the normalisation"],
)
@pytest.mark.parametrize("kind", [ConditionalGAN, ConditionalVAE])
def test_the_class_reaches_the_generator(kind, options):
    model = conditional(kind, **options)
    for name, parameter in model.generator.named_parameters():
        if name.endswith(("gain", "bias")):
            torch.nn.init.normal_(parameter)
    z = model.latents(LABELS)
    assert z.shape == (6, 3 + CLASSES)
    assert torch.equal(z[:, 3:], one_hot(LABELS, CLASSES).float())
    z.requires_grad_()
    (slope,) = torch.autograd.grad(model.decode(z).square().sum(), z)
    assert slope[:, 3:].abs().amax(1).min() > 0


@pytest.mark.parametrize("kind", [ConditionalGAN, ConditionalVAE])
def test_samples_of_classes_are_decoded_with_them(kind):
    model = conditional(kind, ema_half_life=10).eval()
    assert isinstance(model, SamplesClasses)
    made = model.sample_classes(LABELS, torch.Generator().manual_seed(0))
    z = model.latents(LABELS, torch.Generator().manual_seed(0))
    assert torch.equal(made, model.decode(z))
    again = model.sample(6, torch.Generator().manual_seed(0), labels=LABELS)
    assert torch.equal(made, again)
    with pytest.raises(UsageError, match="classes 0 to 3"):
        model.sample_classes(torch.tensor([4]))


def test_a_plain_gan_samples_no_classes():
    assert not isinstance(GAN(**parts()), SamplesClasses)


def test_a_run_counts_the_classes_and_a_checkpoint_is_the_same_model(trainer, tmp_path):
    data = Digits(batch_size=50, limit=100)
    data.setup()
    options = {"conditioning": AuxiliaryClassifier(weight=2.0), "shape": data.shape}
    model = conditional(
        classes=10,
        generator=partial(ConvGenerator, width=4, norm="class_batch"),
        trunk=partial(MLPTrunk, hidden=(9,), spectral=True),
        **options,
    )
    fit = trainer(max_epochs=1)
    fit.fit(model, datamodule=data)
    shares = data.train.labels.bincount(minlength=10) / 100
    torch.testing.assert_close(model.prior.shares, shares)
    assert any("train/generator/fake_class_nats" in row for row in model.history)
    fit.save_checkpoint(tmp_path / "a.ckpt")
    loaded = ConditionalGAN.load_from_checkpoint(tmp_path / "a.ckpt")
    assert loaded.conditioning == options["conditioning"]
    assert loaded.hparams["latent_dim"] == 3
    state = loaded.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    for each in (model, loaded):
        each.eval()
    assert torch.equal(
        *(each.sample(4, torch.Generator().manual_seed(0)) for each in (model, loaded))
    )


def test_by_default_it_projects_and_its_trunk_has_a_feature_more_for_each_class():
    model = conditional()
    assert model.conditioning == Projection()
    assert last(model.discriminator).out_features == 1 + CLASSES


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": None}, "needs labels"),
        ({"packing": 2}, "packing must be 1"),
        ({"conditioning": NegativeELBO()}, "another family's"),
    ],
)
def test_mistakes_are_told_in_one_line(options, words):
    with pytest.raises(UsageError, match=words) as error:
        conditional(**options)
    assert "\n" not in str(error.value)


def test_its_generator_is_the_vaes():
    options = {"generator": partial(MLPGenerator, hidden=(9,))}
    shapes = [
        [p.shape for p in conditional(kind, **options).generator.parameters()]
        for kind in (ConditionalGAN, ConditionalVAE)
    ]
    assert shapes[0] == shapes[1]
