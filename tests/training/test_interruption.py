"""Signals: the first ends training behind the step, where resuming is exact; the second at once."""

import os
import signal

import pytest
import pytorch_lightning as pl
import torch

from gen_models.models import VAE
from gen_models.training.callbacks import ImageBudget
from gen_models.training.checkpoint_io import WholeCheckpointIO, damage
from gen_models.training.interruption import Interruption, listening
from gen_models.training.last_checkpoint import LastCheckpoint
from tests.models.conftest import parts, quiet_trainer
from tests.training.test_resume import data, make


class Signalling(pl.Callback):
    """Sends this process signals in a hook, at one iteration."""

    def __init__(self, number, hook, iteration, times=1):
        def send(trainer, module, *_):
            if module.iterations == iteration and not trainer.sanity_checking:
                for _ in range(times):
                    signal.raise_signal(number)

        setattr(self, hook, send)


def fit(folder, *callbacks, budget=160, start=None):
    model = make(VAE)
    with listening() as asked:
        trainer = quiet_trainer(
            folder,
            max_epochs=-1,
            enable_checkpointing=True,
            check_val_every_n_epoch=None,
            val_check_interval=2,
            plugins=[WholeCheckpointIO()],
            callbacks=[ImageBudget(budget), *callbacks, LastCheckpoint(folder, 1e9, asked)],
        )
        trainer.fit(model, datamodule=data(), ckpt_path=start)
    return model, asked


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("hook", "iteration", "seen"),
    [
        ("on_train_batch_start", 2, 3),  # before the third step
        ("on_train_batch_end", 3, 3),
        ("on_train_batch_start", 3, 4),  # a validation is due behind the fourth
        ("on_validation_start", 4, 4),
        ("on_validation_end", 4, 4),
    ],
)
def test_the_first_signal_ends_training_behind_the_step(number, hook, iteration, seen, tmp_path):
    before = signal.getsignal(signal.SIGINT)  # ignored in a shell's background jobs
    model, asked = fit(tmp_path, Signalling(number, hook, iteration))
    assert asked.signal == number
    assert model.iterations == seen
    stored = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert stored["iterations"] == seen
    assert all(torch.equal(v, stored["state_dict"][k]) for k, v in model.state_dict().items())
    assert signal.getsignal(signal.SIGINT) is before
    # No validation that the whole run does not have.
    validated = [row["images"] for row in stored["history"] if "validation/vae/loss" in row]
    assert validated == [32.0 * n for n in range(1, seen // 2 + 1)]


def test_the_second_signal_ends_it_at_once_and_leaves_the_checkpoint_whole(tmp_path):
    again = Signalling(signal.SIGINT, "on_train_batch_start", 5, times=2)
    with pytest.raises(SystemExit):  # Lightning's word for Ctrl-C
        fit(tmp_path, again)
    assert damage(tmp_path / "last.ckpt") is None
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["iterations"] == 4


def test_a_second_signal_while_a_checkpoint_is_written_leaves_the_old_one(tmp_path, monkeypatch):
    replace = os.replace

    def interrupted(source, target):
        if str(target).endswith("last.ckpt") and os.path.exists(target):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(SystemExit):
        fit(tmp_path)
    assert damage(tmp_path / "last.ckpt") is None
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["iterations"] == 2
    assert not list(tmp_path.glob(".*.part"))


def test_where_nobody_looks_the_first_signal_ends_it_at_once():
    with listening(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_checkpoints_are_saved_at_intervals_under_manual_optimisation(tmp_path):
    """Lightning's own `train_time_interval` never fires there."""
    images = data()
    saved = []

    class Watching(LastCheckpoint):
        def save(self, trainer, module):
            saved.append(module.iterations)
            super().save(trainer, module)

    quiet_trainer(
        tmp_path,
        max_epochs=2,
        limit_val_batches=0,
        enable_checkpointing=True,
        plugins=[WholeCheckpointIO()],
        callbacks=[Watching(tmp_path, 0.0, Interruption())],
    ).fit(VAE(**{**parts(), "shape": (1, 16, 16)}), datamodule=images)
    assert saved == [1, 2, 3, 4, 5, 6]
