"""Plain Lightning habits: fit, save, load_from_checkpoint, resume."""

import copy
from functools import partial

import pytest
import torch

from gen_models.data.ranges import Scaler
from gen_models.distributions import ContinuousBernoulli
from gen_models.errors import UsageError
from gen_models.models import GAN, VAE
from gen_models.models.state import check_same
from gen_models.objectives import Hinge, NegativeELBO

from .conftest import SHAPE, parts


def full_vae():
    return VAE(
        **parts(),
        likelihood=ContinuousBernoulli,
        objective=NegativeELBO(beta=2.0),
        scaler=Scaler([0.3], [0.7]),
        clip=1.0,
    )


def full_gan():
    return GAN(**parts(), objective=Hinge(), scaler=Scaler.symmetric(1), ema_half_life=50)


@pytest.mark.parametrize("make", [full_vae, full_gan])
def test_a_model_is_loaded_from_its_checkpoint_alone(make, trainer, images, tmp_path):
    model = make()
    fit = trainer()
    fit.fit(model, images)
    fit.save_checkpoint(tmp_path / "a.ckpt")
    torch.load(tmp_path / "a.ckpt", weights_only=True)  # plain data: nothing has to be trusted
    loaded = type(model).load_from_checkpoint(tmp_path / "a.ckpt")
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())
    assert loaded.objective == model.objective
    assert loaded.images_seen == model.images_seen == 96
    assert loaded.history == model.history
    assert torch.equal(loaded.scaler.deviation, model.scaler.deviation)
    draws = [m.sample(3, torch.Generator().manual_seed(0)) for m in (model, loaded)]
    torch.testing.assert_close(*draws)


@pytest.mark.parametrize("make", [full_vae, full_gan])
def test_resuming_keeps_the_counters_and_goes_on(make, trainer, images, tmp_path):
    model = make()
    fit = trainer(max_epochs=1)
    fit.fit(model, images)
    fit.save_checkpoint(tmp_path / "a.ckpt")
    resumed = make()
    trainer(max_epochs=2).fit(resumed, images, ckpt_path=tmp_path / "a.ckpt")
    assert resumed.images_seen == 2 * 48
    assert resumed.iterations == 6
    assert [row["images"] for row in resumed.history][:3] == [16.0, 32.0, 48.0]


def test_the_checkpoint_of_another_model_is_refused_in_one_line(trainer, images, tmp_path):
    fit = trainer(max_epochs=1)
    fit.fit(full_vae(), images)
    fit.save_checkpoint(tmp_path / "a.ckpt")
    other = VAE(**{**parts(), "latent_dim": 5})
    with pytest.raises(UsageError, match="latent_dim") as error:
        trainer().fit(other, images, ckpt_path=tmp_path / "a.ckpt")
    assert "\n" not in str(error.value)


def test_what_cannot_be_stored_is_refused_at_construction():
    with pytest.raises(UsageError, match=r"functools\.partial"):
        VAE(**{**parts(), "objective": torch.nn.Linear(1, 1)})


def test_lambdas_are_refused_because_no_one_could_build_them_again():
    with pytest.raises(UsageError, match="lambda"):
        VAE(**{**parts(), "optimizer": lambda p: torch.optim.Adam(p)})


@pytest.mark.parametrize("make", [full_vae, full_gan])
def test_sampling_leaves_weights_statistics_and_modes_alone(make):
    model = make()
    model.train()
    model.encoder.eval() if hasattr(model, "encoder") else model.discriminator.eval()
    before = copy.deepcopy(model.state_dict())
    modes = [m.training for m in model.modules()]
    pixels = model.sample(600)
    assert pixels.shape == (600, *SHAPE)
    assert 0 <= pixels.min() <= pixels.max() <= 1
    assert modes == [m.training for m in model.modules()]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not pixels.requires_grad


def test_latents_must_be_one_or_more():
    with pytest.raises(UsageError, match="latent_dim"):
        VAE(**{**parts(), "latent_dim": 0})


def test_nats_mean_the_same_under_every_scaling():
    """The likelihood is of pixels in [0, 1]; only what the encoder sees is scaled."""
    pixels = torch.rand(6, *SHAPE)
    values = []
    for scaler in (Scaler.unit(1), Scaler.symmetric(1), Scaler([0.3], [0.2])):
        torch.manual_seed(0)
        vae = VAE(**{**parts(), "trunk": partial(Constant)}, scaler=scaler)
        torch.manual_seed(1)
        values.append(vae.loss(scaler(pixels))["negative_elbo_nats"])
    torch.testing.assert_close(values[0], values[1], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(values[0], values[2], rtol=1e-5, atol=1e-4)


class Constant(torch.nn.Module):
    """A trunk that sees nothing, so that only the likelihood could tell scalings apart."""

    def __init__(self, shape, features):
        super().__init__()
        self.features = features

    def forward(self, x):
        return x.new_zeros(len(x), self.features)


def test_an_argument_that_came_later_is_its_default_in_an_older_checkpoint():
    model = GAN(**parts())
    stored = {k: v for k, v in model.hparams.items() if k not in ("packing", "penalties")}
    older = {
        "hyper_parameters": stored,
        **{"images_seen": 7, "iterations": 1, "history": [], "training_seconds": 0.0},
    }
    model.restore(older, compare=tuple(model.hparams))
    assert model.images_seen == 7
    other = GAN(**parts(), packing=2)
    with pytest.raises(
        UsageError, match=r"packing is 1 there and 2 here; choose model\.packing as"
    ):
        other.restore(older, compare=tuple(other.hparams))


def test_a_checkpoint_of_another_model_says_all_that_differs():
    model = GAN(**parts())
    arguments = dict(model.hparams)
    check_same({**arguments, "latent_dim": 9}, arguments, ["packing"])
    with pytest.raises(UsageError) as error:
        check_same({**arguments, "packing": 3, "latent_dim": 9}, arguments, list(arguments))
    message = str(error.value)
    assert f"latent_dim is 9 there and {model.latent_dim} here" in message
    assert "packing is 3 there and 1 here" in message
    assert message.endswith("choose model.latent_dim, model.packing as there")
    with pytest.raises(
        UsageError, match=r"posterior is Diagonal there and None here; choose model "
    ):
        check_same({"posterior": {"_target_": "x.Diagonal"}, "n": 1}, {"n": 2}, ["n"])
    with pytest.raises(
        UsageError, match=r"shape is \[1\] there and \[2\] here; choose the data as"
    ):
        check_same({"shape": [1]}, {"shape": [2]}, ["shape"])


def test_weights_of_another_model_are_told_in_one_line():
    model = GAN(**parts())
    weights = model.state_dict()
    removed = next(iter(weights))
    with pytest.raises(UsageError, match="weights are of another model") as error:
        model.load_state_dict({k: v for k, v in weights.items() if k != removed})
    assert removed in str(error.value)
    assert "\n" not in str(error.value)
