"""Exact resume, in one process: from every iteration, and from every family."""

import random
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from gen_models.data import Digits
from gen_models.models import GAN, VAE
from gen_models.networks import ConvTrunk
from gen_models.objectives import NegativeELBO
from gen_models.recipes import build
from gen_models.training.callbacks import ImageBudget, SampleGrid, Selection
from gen_models.training.checkpoint_io import WholeCheckpointIO
from gen_models.training.interruption import Interruption
from gen_models.training.last_checkpoint import LastCheckpoint
from gen_models.training.metrics_log import MetricsLog
from gen_models.training.watch import Watch
from tests.exactness import differences, left
from tests.models.conftest import parts, quiet_trainer
from tests.test_configs import choices, composed

BATCHES = 3
"""In an epoch of the images below."""


class Restless(pl.Callback):
    """Draws from every global random state, as a user's own code may."""

    def on_train_batch_end(self, trainer, module, *_):
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        for parameter in module.parameters():
            parameter.data.add_(1e-4 * noise)


class Keep(pl.callbacks.Checkpoint):
    """Keeps the state behind every iteration, saved in each hook where a checkpoint may be."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, module, *_):
        due = trainer.should_stop or module.iterations % trainer.val_check_batch == 0
        if not due:
            trainer.save_checkpoint(self.folder / f"{module.iterations}.ckpt")

    def on_validation_end(self, trainer, module):
        trainer.save_checkpoint(self.folder / f"{module.iterations}.ckpt")


def data():
    return Digits(limit=50, batch_size=16, seed=3)


def make(kind, **more):
    torch.manual_seed(0)
    images = data()
    images.setup()
    return kind(
        **{**parts(), "shape": images.shape, "scaler": images.scaler, "trunk": small, **more}
    )


small = partial(ConvTrunk, width=4)


def score(model):
    return model.sample(4, torch.Generator().manual_seed(0)).mean().item()


def draw(model, path):
    path.write_bytes(model.sample(2, torch.Generator().manual_seed(0)).numpy().tobytes())


def fit(model, folder, iterations, start=None, *more, interval=2, log=2):
    """Train to so many iterations in all."""
    trainer = quiet_trainer(
        folder,
        max_epochs=-1,
        enable_checkpointing=True,
        logger=MetricsLog(folder, name="", version=""),
        check_val_every_n_epoch=None,
        val_check_interval=interval,
        log_every_n_steps=log,
        plugins=[WholeCheckpointIO()],
        callbacks=[
            ImageBudget(16 * iterations),
            Selection("validation/score", score),
            SampleGrid(folder / "progress", draw),
            Watch(),
            Restless(),
            *more,
            LastCheckpoint(folder, 1e9, Interruption()),
        ],
    )
    trainer.fit(model, datamodule=data(), ckpt_path=start)
    return trainer


@pytest.mark.parametrize(("kind", "interval"), [(VAE, 2), (GAN, 3)])
def test_a_run_goes_on_from_every_iteration_as_if_it_had_never_stopped(kind, interval, tmp_path):
    """Within epochs and at their ends, with a validation due there and without one."""
    options = {"ema_half_life": 30.0} if kind is GAN else {"objective": NegativeELBO(beta=2.0)}
    whole = 4 * BATCHES - 1
    (tmp_path / "whole").mkdir()
    model, kept = make(kind, **options), Keep(tmp_path)
    fit(model, tmp_path / "whole", whole, None, kept, interval=interval, log=2)
    expected = left(tmp_path / "whole", "last.ckpt")
    for iteration in range(1, whole):
        folder = tmp_path / f"from{iteration}"
        model = make(kind, **options)
        torch.manual_seed(iteration)  # what a new process would have is not what is gone on with
        # Its checkpoints replace those of the runs before: the last one was resumed many times.
        start = tmp_path / f"{iteration}.ckpt"
        fit(model, folder, whole, start, Keep(tmp_path), interval=interval, log=2)
        found = left(folder, "last.ckpt")
        there = {name for name in expected[1] if int(name[:9]) > 16 * iteration}
        assert differences(expected[0], found[0]) == [], iteration
        assert {n: expected[1][n] for n in there} == found[1], iteration
        assert expected[2] == found[2], iteration


LEFT_OUT = "ppca", "sn_dcgan", "sngan"
"""One is fitted in closed form, in one iteration; the others are as large as CIFAR-10 needs it."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* at .* images:UserWarning")  # so little training is no good
@pytest.mark.parametrize("name", [name for name in choices("model") if name not in LEFT_OUT])
def test_every_family_goes_on_within_an_epoch_and_at_its_end(name, tmp_path):
    images = data()
    images.setup()
    offered = {"num_classes": images.num_classes, "training_images": len(images.train)}

    def made():
        torch.manual_seed(0)
        recipe = composed(f"model={name}")["model"]
        return build(recipe, "model", offered, shape=images.shape, scaler=images.scaler)

    (tmp_path / "whole").mkdir()
    fit(made(), tmp_path / "whole", 7, None, Keep(tmp_path), interval=4)
    expected = left(tmp_path / "whole", "last.ckpt")
    for iteration in (1, 3, 5):
        folder, model = tmp_path / f"from{iteration}", made()
        torch.manual_seed(iteration)
        fit(model, folder, 7, tmp_path / f"{iteration}.ckpt", interval=4)
        found = left(folder, "last.ckpt")
        assert differences(expected[0], found[0]) == [], iteration
        assert expected[2] == found[2], iteration
