"""VAE-GAN: the VAE itself where nothing is added, and each gradient where the paper has it."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from gen_models.data.ranges import Scaler
from gen_models.distributions import ContinuousBernoulli, Gaussian, VampPrior
from gen_models.distributions.posteriors import FullCovariance
from gen_models.errors import UsageError
from gen_models.models import VAE, VAEGAN
from gen_models.networks import MLPTrunk
from gen_models.objectives import Hinge, ImportanceWeighted, NegativeELBO, Relativistic
from gen_models.objectives.schedules import Linear

from .conftest import SHAPE, parts

PARTS = {
    "plain": {},
    "learned": {"likelihood": partial(Gaussian, learned=True), "posterior": FullCovariance},
    "vamp": {"prior": partial(VampPrior, components=3), "objective": ImportanceWeighted(draws=4)},
    "two draws": {"objective": NegativeELBO(beta=3.0, draws=2), "likelihood": ContinuousBernoulli},
}
NOTHING = {"adversarial_weight": 0.0, "feature_weight": 0.0}


def vae_gan(**options):
    torch.manual_seed(0)
    own = {"discriminator": partial(MLPTrunk, hidden=(16,)), "features": 5}
    return VAEGAN(**{**parts(), **own, **options})


def gradients(model, phase=0):
    """Of one turn on one batch with one noise, by name."""
    model.zero_grad(set_to_none=True)
    torch.manual_seed(2)
    turn = model.phases()[phase]
    turn.loss(torch.rand(8, *SHAPE))["loss"].backward(inputs=list(turn.parameters))
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("part", PARTS)
def test_with_nothing_added_each_gradient_is_the_vaes_bit_for_bit(part):
    model = vae_gan(**PARTS[part], **NOTHING)
    plain = VAE(**{**parts(), **PARTS[part]})
    plain.load_state_dict(model.state_dict(), strict=False)
    known, found = gradients(plain), gradients(model)
    assert known.keys() == found.keys()
    for name, gradient in known.items():
        assert torch.equal(gradient, found[name]), name


@pytest.mark.parametrize("part", PARTS)
def test_features_that_weigh_nothing_leave_the_encoder_the_vaes_gradient(part):
    """The whole way through the features, at a weight that rounding takes out of the likelihood."""
    model = vae_gan(**PARTS[part], **{**NOTHING, "feature_weight": 1e-20})
    plain = VAE(**{**parts(), **PARTS[part]})
    plain.load_state_dict(model.state_dict(), strict=False)
    known, found = gradients(plain), gradients(model)
    for name in (name for name in known if name.startswith("encoder")):
        torch.testing.assert_close(found[name], known[name])


@pytest.mark.parametrize("weight", ["adversarial_weight", "feature_weight"])
@pytest.mark.parametrize("part", PARTS)
def test_what_is_added_moves_the_generator_and_the_game_never_the_encoder(part, weight):
    without = gradients(vae_gan(**PARTS[part], **NOTHING))
    added = gradients(vae_gan(**PARTS[part], **{**NOTHING, weight: 3.0}))
    assert without.keys() == added.keys()
    moved = {name.split(".")[0] for name in added if not torch.equal(added[name], without[name])}
    taught = {"generator"} if weight == "adversarial_weight" else {"generator", "encoder"}
    assert moved - {"prior"} == taught  # importance weights hang on features, and on the prior
    assert weight == "feature_weight" or moved == taught


def written_out(**options):
    """A model with weights that can be told apart, and images: pixels, and scaled."""
    weights = {"pixel_weight": 0.5, "feature_weight": 2.0, "adversarial_weight": 0.7}
    model = vae_gan(**weights, objective=NegativeELBO(3.0), **options)
    pixels = torch.rand(8, *SHAPE)
    return model, pixels, model.scaler(pixels)


@pytest.mark.parametrize("scaler", [None, Scaler([0.3], [0.2])], ids=["unit", "scaled"])
def test_the_loss_is_the_paper_written_out(scaler):
    model, pixels, x = written_out(scaler=scaler)
    torch.manual_seed(1)
    values = model.loss(x)
    torch.manual_seed(1)
    trunk, leaky, head = model.discriminator
    posterior = model.encoder(x)
    z = posterior.rsample((1,))[0]
    made = torch.sigmoid(2 * model.generator(z))
    likelihood = Normal(made, 0.3).log_prob(pixels).sum((1, 2, 3))
    made = model.scaler(made)
    features = (leaky(trunk(x)) - leaky(trunk(made))).square().sum(1) / 2
    rate = kl_divergence(posterior, Independent(Normal(torch.zeros(3), torch.ones(3)), 1))
    samples = model.scaler(torch.sigmoid(2 * model.generator(torch.randn(8, 3))))
    convinced = torch.cat([-head(leaky(trunk(each))) for each in (samples, made)])
    game = torch.nn.functional.softplus(convinced).mean()
    expected = (3 * rate - 0.5 * likelihood + 2 * features).mean() + 0.7 * game
    torch.testing.assert_close(values["loss"], expected)
    torch.testing.assert_close(values["adversarial"], game)
    torch.testing.assert_close(values["feature_error"], features.mean())
    torch.testing.assert_close(values["negative_elbo_nats"], (rate - likelihood).mean())


def test_the_bound_is_of_pixels_whatever_is_trained():
    pixels, bounds = torch.rand(4, *SHAPE), []
    for options in (NOTHING, {"pixel_weight": 0.0, "feature_weight": 9.0}):
        model = vae_gan(**options)
        torch.manual_seed(3)
        bounds.append(model.elbo_terms(pixels))
    assert torch.equal(bounds[0].log_likelihood, bounds[1].log_likelihood)
    assert torch.equal(bounds[0].rate, bounds[1].rate)


@pytest.mark.parametrize("reconstructions", [True, False])
@pytest.mark.parametrize("game", [None, Relativistic()])
def test_a_blind_discriminator_pays_what_the_game_says(game, reconstructions):
    model = vae_gan(adversarial=game, reconstructions=reconstructions)
    nn.init.zeros_(model.discriminator[-1].weight)
    nn.init.constant_(model.discriminator[-1].bias, 1.0)
    values = model.discriminator_loss(torch.rand(8, *SHAPE))
    cross_entropy = math.log1p(math.exp(-1)) + math.log1p(math.exp(1))
    known = cross_entropy if game is None else math.log(2)
    assert values["loss"].item() == pytest.approx(known)
    assert values["told_apart"] == 0
    alone = math.log1p(math.exp(-1)) if game is None else math.log(2)
    assert model.loss(torch.rand(8, *SHAPE))["adversarial"].item() == pytest.approx(alone)


def test_the_discriminator_is_shown_samples_and_reconstructions_in_equal_numbers():
    model = vae_gan(scaler=Scaler([0.3], [0.2])).eval()
    z = torch.randn(6, 3)
    torch.manual_seed(4)
    made = model.fakes(6, z)
    torch.manual_seed(4)
    torch.testing.assert_close(made[:6], model.scaler(model.decode(model.sample_prior(6))))
    torch.testing.assert_close(made[6:], model.scaler(model.decode(z)))
    x = model.scaler(torch.rand(6, *SHAPE))
    real = model.discriminator_loss(x)["real_logit"]
    torch.testing.assert_close(real, model.discriminator(x).mean())
    assert model.fakes(6, None).shape == (6, *SHAPE)


def test_spectral_norm_rests_in_the_vaes_turn():
    model = vae_gan(discriminator=partial(MLPTrunk, hidden=(16,), spectral=True))
    for phase, moves in ((0, False), (1, True)):
        before = copy.deepcopy(model.discriminator.state_dict())
        gradients(model, phase)
        after = model.discriminator.state_dict()
        assert any(not torch.equal(v, after[k]) for k, v in before.items()) == moves


def test_each_phase_moves_its_own_parameters_and_both_cover_the_model(trainer, images, tmp_path):
    model = vae_gan(adversarial=Hinge(), likelihood=partial(Gaussian, learned=True))
    phases = model.phases()
    assert [phase.name for phase in phases] == ["vae", "discriminator"]
    own = {id(p) for p in model.discriminator.parameters()}
    assert {id(p) for p in phases[1].parameters} == own
    assert {id(p) for p in phases[0].parameters} == {id(p) for p in model.parameters()} - own
    before = copy.deepcopy(model.state_dict())
    fit = trainer(max_epochs=1)
    fit.fit(model, images, images)
    after = model.state_dict()
    changed = {k.split(".")[0] for k, v in after.items() if not torch.equal(v, before[k])}
    assert changed == {"discriminator", "encoder", "generator", "likelihood"}
    fit.save_checkpoint(tmp_path / "a.ckpt")
    loaded = VAEGAN.load_from_checkpoint(tmp_path / "a.ckpt")
    assert loaded.adversarial == Hinge()
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in after.items())


def test_weights_may_be_schedules_and_a_term_of_weight_0_costs_nothing():
    model = vae_gan(adversarial_weight=Linear(images=100), feature_weight=0.0)
    x = torch.rand(8, *SHAPE)
    assert "adversarial" not in model.loss(x)
    model.images_seen = 50
    values = model.loss(x)
    rest = values["loss"] - values["negative_elbo_nats"]
    torch.testing.assert_close(rest, 0.5 * values["adversarial"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"features": -4}, r"model.features must be 1 or more"),
        ({"feature_weight": -1.0}, "model.feature_weight"),
        ({"pixel_weight": 0.0, "likelihood": partial(Gaussian, learned=True)}, "pixel_weight=0"),
        ({"adversarial": NegativeELBO()}, "model.adversarial=NegativeELBO"),
    ],
)
def test_mistakes_are_told_in_one_line(options, names):
    with pytest.raises(UsageError, match=names) as error:
        vae_gan(**options)
    assert "\n" not in str(error.value)


def test_the_feature_error_is_summed_in_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = vae_gan().loss(torch.rand(8, *SHAPE))
    assert {value.dtype for value in values.values()} == {torch.float32}
