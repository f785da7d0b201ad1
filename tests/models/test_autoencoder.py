"""Autoencoders: the loss written out, and a prior that is fitted to training latents alone."""

import signal
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from gen_models.data import Digits
from gen_models.data.ranges import Scaler
from gen_models.distributions import FittedMixture, FlowPrior, GaussianMixture
from gen_models.errors import UsageError
from gen_models.models import Autoencoder
from gen_models.objectives import JacobianPenalty, LatentNorm, PriorDiscrepancy, WeightDecay
from gen_models.training.callbacks import ImageBudget
from gen_models.training.checkpoint_io import WholeCheckpointIO
from gen_models.training.interruption import Interruption
from gen_models.training.last_checkpoint import LastCheckpoint

from .conftest import SHAPE, parts, quiet_trainer


def regularised(**options):
    torch.manual_seed(0)
    regularisers = {"norm": LatentNorm(0.5), "decay": WeightDecay(1e-3)}
    prior = partial(FittedMixture, components=2)
    return Autoencoder(**{**parts(), "regularisers": regularisers, "prior": prior, **options})


def test_the_loss_is_half_the_squared_error_of_pixels_and_what_is_paid_beside_it():
    model = regularised(scaler=Scaler.symmetric(1)).eval()
    pixels = torch.rand(6, *SHAPE)
    x = 2 * pixels - 1
    z = model.encoder(x)
    error = 0.5 * (torch.sigmoid(2 * model.generator(z)) - pixels).square().sum((1, 2, 3)).mean()
    decay = 1e-3 * sum(p.square().sum() for p in model.generator.parameters())
    expected = error + 0.25 * z.square().sum(1).mean() + decay
    values = model.loss(x)
    torch.testing.assert_close(values["loss"], expected)
    assert values.keys() == {"loss", "error", "norm", "decay"}


def test_every_regulariser_trains_and_validates(trainer, images):
    model = regularised(regularisers={"slope": JacobianPenalty(0.1), "far": PriorDiscrepancy(5.0)})
    trainer().fit(model, images, images)
    assert {"validation/autoencoder/slope", "validation/autoencoder/far"} <= model.history[
        -1
    ].keys()


def trained(trainer, training, validation):
    model = regularised()
    shown = DataLoader(training, batch_size=16)
    trainer(max_epochs=1).fit(model, shown, DataLoader(validation, batch_size=16))
    return model


def test_the_prior_is_fitted_to_training_latents_and_to_no_others(trainer):
    training, held_out = torch.rand(48, *SHAPE), torch.rand(32, *SHAPE)
    one = trained(trainer, training, held_out)
    changed = held_out.clone()
    changed[3] = 1.0
    other = trained(trainer, training, changed)
    assert torch.equal(one.prior.means, other.prior.means)
    reference = FittedMixture(3, 2)
    with torch.no_grad():
        reference.fit(one.encoder(training))
    torch.testing.assert_close(one.prior.means, reference.means)
    torch.testing.assert_close(one.prior.scales, reference.scales)
    training[0] = 1.0
    assert not torch.equal(one.prior.means, trained(trainer, training, held_out).prior.means)


def test_a_data_module_gives_the_images_too_that_the_loader_leaves_out(trainer):
    data = Digits(batch_size=500, limit=1200)  # a batch of 200 is left out of every epoch
    data.setup()
    model = regularised(shape=data.shape, scaler=data.scaler)
    trainer(max_epochs=1, val_check_interval=1).fit(model, datamodule=data)
    assert model.images_seen == 1000
    reference = FittedMixture(3, 2)
    x = data.scaler(data.train.images / 255)
    with torch.no_grad():
        reference.fit(model.encoder.eval()(x))
    torch.testing.assert_close(model.prior.means, reference.means, rtol=1e-3, atol=1e-4)


def test_samples_come_from_the_fitted_prior_and_reconstructions_from_the_encoder(trainer):
    model = trained(trainer, torch.rand(48, *SHAPE), torch.rand(16, *SHAPE)).eval()
    z = model.prior.sample(5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.sample(5, torch.Generator().manual_seed(0)), model.decode(z))
    assert z.std() < 0.9  # the encoder's latents are small, N(0, I) is not
    pixels = torch.rand(4, *SHAPE)
    torch.testing.assert_close(model.reconstruct(pixels), model.decode(model.encoder(pixels)))


def test_latents_that_have_diverged_leave_the_prior_as_it_was(trainer, images):
    model = regularised()
    with torch.no_grad():
        next(model.encoder.parameters()).fill_(float("nan"))
    with pytest.warns(UserWarning, match="divergence at"):
        trainer(max_epochs=1).fit(model, images, images)
    assert model.diverged is not None
    assert model.prior.means.abs().max() == 0


@pytest.mark.parametrize("half_life", [None, 20.0])
def test_a_resumed_run_ends_where_the_whole_one_does(half_life, trainer, images, tmp_path):
    whole = regularised(ema_half_life=half_life)
    trainer(max_epochs=2).fit(whole, images, images)
    first = regularised(ema_half_life=half_life)
    fit = trainer(max_epochs=1)
    fit.fit(first, images, images)
    fit.save_checkpoint(tmp_path / "a.ckpt")
    resumed = regularised(ema_half_life=half_life)
    trainer(max_epochs=2).fit(resumed, images, images, ckpt_path=tmp_path / "a.ckpt")
    assert all(torch.equal(v, resumed.state_dict()[k]) for k, v in whole.state_dict().items())


class Ask(pl.Callback):
    """Asks for the end of training at one iteration, as a signal does."""

    def __init__(self, asked, iteration):
        self.asked, self.iteration = asked, iteration

    def on_train_batch_start(self, trainer, module, *_):
        if module.iterations == self.iteration:
            self.asked.signal = signal.SIGINT


def run(folder, start=None, stop=-1, **options):
    """A whole run of 8 iterations, or one that a signal ends, whose loss hangs on the prior."""
    data, asked = Digits(limit=60, batch_size=16, seed=3), Interruption()
    data.setup()
    cost = {"far": PriorDiscrepancy(5.0)}
    model = regularised(shape=data.shape, scaler=data.scaler, regularisers=cost)
    callbacks = [ImageBudget(128), Ask(asked, stop), LastCheckpoint(folder, 1e9, asked)]
    options = {"max_epochs": -1, "callbacks": callbacks, **options}
    trainer = quiet_trainer(
        folder, enable_checkpointing=True, plugins=[WholeCheckpointIO()], **options
    )
    trainer.fit(model, datamodule=data, ckpt_path=start)
    return model, torch.load(folder / "last.ckpt", weights_only=True)["state_dict"], data


@pytest.mark.parametrize(
    "options",
    [
        {"limit_val_batches": 0},  # never validated
        {"max_epochs": 2, "check_val_every_n_epoch": None, "val_check_interval": 4},  # too early
    ],
)
def test_the_last_checkpoint_has_the_prior_of_its_own_weights(options, tmp_path):
    model, stored, data = run(tmp_path, **options)
    reference = FittedMixture(3, 2)
    with torch.no_grad():
        reference.fit(model.encoder.eval()(data.scaler(data.train.images / 255)))
    torch.testing.assert_close(stored["prior.means"], reference.means, rtol=1e-3, atol=1e-4)
    assert all(torch.equal(v, stored[k]) for k, v in model.state_dict().items())


def test_a_run_that_a_signal_ends_goes_on_without_the_prior_of_an_end(tmp_path):
    options = {"limit_val_batches": 0}
    _, whole, _ = run(tmp_path, **options)
    _, stored, _ = run(tmp_path, stop=4, **options)
    assert stored["prior.means"].abs().max() == 0
    _, resumed, _ = run(tmp_path, start=tmp_path / "last.ckpt", **options)
    assert all(torch.equal(v, resumed[k]) for k, v in whole.items())


@pytest.mark.parametrize("prior", [GaussianMixture, FlowPrior])
def test_a_prior_that_no_loss_would_teach_is_refused_in_one_line(prior):
    with pytest.raises(UsageError, match=f"{prior.__name__} has parameters") as error:
        regularised(prior=prior)
    assert "\n" not in str(error.value)


def test_regularisers_see_latents_in_float32_under_autocast():
    seen = []

    def look(encoded):
        seen.append(encoded.z)
        return encoded.z.sum()

    model = regularised()
    model.regularisers["look"] = look
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model.loss(torch.rand(8, *SHAPE))
    assert [z.dtype for z in seen] == [torch.float32]
