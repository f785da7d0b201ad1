"""The conditional VAE: a VAE where the class says nothing, and a mixture over classes."""

from functools import partial

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.nn.functional import one_hot
from torch.utils.data import DataLoader

from gen_models.data import Digits
from gen_models.distributions import (
    GaussianMixture,
    GaussianPerPixel,
    LabelledPrior,
    Ladder,
    TwoLevelPrior,
    VampPrior,
)
from gen_models.errors import UsageError
from gen_models.models import VAE, ConditionalVAE
from gen_models.networks import MLPGenerator, MLPTrunk
from gen_models.objectives import Linear

from .conftest import SHAPE, parts

DENSE = {"generator": partial(MLPGenerator, hidden=(9,)), "trunk": partial(MLPTrunk, hidden=(9,))}


def conditional(classes=4, **options):
    torch.manual_seed(0)
    return ConditionalVAE(**{**parts(), **DENSE, "num_classes": classes, **options})


TWO_LEVELS = {
    "prior": partial(TwoLevelPrior, top_dim=1, hidden=(5,)),
    "posterior": partial(Ladder, top_dim=1),
}


@pytest.mark.parametrize(
    "options",
    [{}, {"likelihood": GaussianPerPixel}, TWO_LEVELS],
    ids=["plain", "per pixel", "ladder"],
)
def test_a_constant_class_makes_it_the_vae(options):
    """The same weights, with zeros where the one class enters, give the same losses."""
    plain, model = VAE(**{**parts(), **DENSE, **options}), conditional(classes=1, **options)
    state = {k.replace("prior.", "prior.latents."): v for k, v in plain.state_dict().items()}
    wider = {"generator.layers.0.weight": 1, "encoder.0.layers.0.weight": 64}
    for key, columns in wider.items():
        state[key] = torch.cat([state[key], torch.zeros(9, columns)], dim=1)
    state["prior.shares"] = torch.ones(1)
    model.load_state_dict(state)
    x, values = torch.rand(6, *SHAPE), []
    for loss in (lambda: plain.loss(x), lambda: model.loss(x, torch.zeros(6, dtype=torch.int64))):
        torch.manual_seed(1)
        values.append(loss())
    torch.testing.assert_close(values[0], values[1])
    terms = []
    for one in (plain, model):
        torch.manual_seed(1)
        terms.append(one.elbo_terms(x))
    torch.testing.assert_close(terms[0], terms[1])


@torch.no_grad()
def class_terms(model, pixels, count=1):
    """Terms given each class, (2, classes, B)."""
    labels = [torch.full((len(pixels),), label) for label in range(model.num_classes)]
    terms = [model.draws(model.scaler(pixels), label, count).terms for label in labels]
    return torch.stack([torch.stack(tuple(term)) for term in terms], dim=1)


SHARES = pytest.mark.parametrize("shares", [[0.25, 0.25, 0.25, 0.25], [0.1, 0.6, 0.3, 0.0]])


def of_differing_classes(shares):
    model, pixels = conditional().eval(), torch.rand(7, *SHAPE)
    model.prior.shares.copy_(torch.tensor(shares))
    torch.nn.init.normal_(model.generator.layers[0].weight, std=3.0)
    return model, pixels


@SHARES
def test_without_labels_the_terms_are_weighed_by_classes_that_other_draws_choose(shares):
    model, pixels = of_differing_classes(shares)
    torch.manual_seed(2)
    (fits, rates), other = class_terms(model, pixels), class_terms(model, pixels)
    torch.manual_seed(2)
    terms = model.elbo_terms(pixels)
    chosen = (torch.tensor(shares).log()[:, None] + other[0] - other[1]).softmax(0)
    torch.testing.assert_close(terms.log_likelihood, (chosen * fits).sum(0))
    rate = 0.0
    for label in range(4):
        if shares[label]:
            told = (chosen[label] / shares[label]).log()
            rate = rate + chosen[label] * (rates[label] + told)
    torch.testing.assert_close(terms.rate, rate)
    assert (chosen.amax(0) < 0.99).any()


@SHARES
def test_without_labels_the_bound_is_below_that_of_the_mean_terms(shares):
    """Below log sum_y p(y) exp E ELBO_y <= log p(x); that of single draws is above both."""
    model, pixels = of_differing_classes(shares)
    torch.manual_seed(3)
    fits, rates = class_terms(model, pixels, 5000)
    best = (torch.tensor(shares).log()[:, None] + fits - rates).logsumexp(0)
    repeats = 500
    terms = model.elbo_terms(pixels.repeat(repeats, 1, 1, 1))
    bounds = (terms.log_likelihood - terms.rate).view(repeats, 7).mean(1) - best.mean()
    error = bounds.std() / repeats**0.5
    assert bounds.mean() < 4 * error


def test_samples_of_a_class_are_decoded_with_it():
    model, labels = conditional().eval(), torch.tensor([2, 0, 3])
    z = model.sample_prior(3, torch.Generator().manual_seed(0))[:, :3]
    made = model.sample(3, torch.Generator().manual_seed(0), labels=labels)
    expected = model.generator(torch.cat([z, one_hot(labels, 4).float()], dim=1))
    torch.testing.assert_close(made, torch.sigmoid(2 * expected))


def test_the_encoder_sees_the_class():
    model, x = conditional(), torch.rand(2, *SHAPE)
    one, other = (model.posterior(x, one_hot(torch.tensor([k, k]), 4).float()) for k in (0, 1))
    assert not torch.allclose(one.mean, other.mean)


def test_reconstructions_use_the_most_probable_class():
    model, pixels = conditional().eval(), torch.rand(5, *SHAPE)
    model.prior.shares.copy_(torch.tensor([0.0, 0.0, 1.0, 0.0]))
    classes = one_hot(torch.full((5,), 2), 4).float()
    z = torch.cat([model.posterior(pixels, classes).mean, classes], dim=1)
    torch.testing.assert_close(model.reconstruct(pixels), model.decode(z))


def test_the_prior_draws_classes_by_their_shares_of_the_training_images(trainer):
    data = Digits(batch_size=50, limit=200)
    data.setup()
    model = conditional(classes=10, shape=data.shape)
    torch.testing.assert_close(model.prior.shares, torch.full((10,), 0.1))
    trainer(max_epochs=1).fit(model, datamodule=data)
    shares = data.train.labels.bincount(minlength=10) / 200
    torch.testing.assert_close(model.prior.shares, shares)
    z = model.sample_prior(20_000, torch.Generator().manual_seed(0))
    assert torch.equal(z[:, 3:].sum(1), torch.ones(20_000))
    assert (z[:, 3:].mean(0) - shares).abs().max() < 5 * 0.5 / 20_000**0.5


def test_the_prior_is_a_density_in_z_times_a_probability_of_y():
    prior = LabelledPrior(5, 3)
    prior.count(torch.tensor([0, 0, 1, 2, 2, 2]))
    z, labels = torch.randn(3, 2), torch.arange(3)
    value = torch.cat([z, one_hot(labels, 3).float()], dim=1)
    normal = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    expected = normal.log_prob(z) + torch.tensor([2 / 6, 1 / 6, 3 / 6]).log()
    torch.testing.assert_close(prior().log_prob(value), expected)
    assert prior().support.is_discrete
    assert prior().support.check(value).all()
    assert LabelledPrior(5, 3, partial(GaussianMixture, components=2))().sample((4,)).shape == (
        4,
        5,
    )


def test_a_resumed_run_ends_where_the_whole_one_does(trainer, tmp_path):
    data = Digits(batch_size=50, limit=100)
    data.setup()
    ends = []
    for legs in ((2,), (1, 2)):
        torch.manual_seed(5)
        checkpoint = None
        for epochs in legs:
            model = conditional(classes=10, shape=data.shape)
            fit = trainer(max_epochs=epochs)
            fit.fit(model, datamodule=data, ckpt_path=checkpoint)
            checkpoint = tmp_path / "a.ckpt"
            fit.save_checkpoint(checkpoint)
        ends.append(model.state_dict())
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


def test_data_without_labels_are_refused_in_one_line(trainer, images):
    with pytest.raises(UsageError, match="needs labels") as error:
        conditional(classes=None)
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="needs labels"):
        trainer().fit(conditional(), DataLoader(torch.rand(32, *SHAPE), batch_size=16))


def test_of_two_levels_the_generator_sees_the_bottom_one_and_the_class():
    model = conditional(**TWO_LEVELS).eval()
    z = model.sample_prior(6)
    assert z.shape == (6, 3 + 4)
    seen = torch.cat([z[:, :2], z[:, 3:]], dim=1)
    torch.testing.assert_close(model.decode(z), torch.sigmoid(2 * model.generator(seen)))
    assert model.prior().support.is_discrete


def test_a_prior_made_of_an_encoder_of_images_alone_is_refused_in_one_line():
    with pytest.raises(UsageError, match="VampPrior is made of an encoder") as error:
        conditional(prior=partial(VampPrior, components=2))
    assert "\n" not in str(error.value)


def test_its_learning_rate_follows_the_schedule(trainer):
    data = Digits(batch_size=50, limit=100)
    data.setup()
    model = conditional(classes=10, shape=data.shape, lr_schedule=Linear(images=200))
    fit = trainer(max_epochs=1)
    fit.fit(model, datamodule=data)
    assert fit.optimizers[0].param_groups[0]["lr"] == pytest.approx(50 / 200 * 1e-3)
