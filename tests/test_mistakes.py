"""What a user may get wrong on the command line: one line each, and nothing is trained."""

import subprocess
import sys

import pytest
import pytorch_lightning as pl
import torch

from gen_models.app import run
from gen_models.config import explain, run_config
from gen_models.errors import UsageError

from .conftest import REPOSITORY
from .test_configs import composed


@pytest.fixture
def attempt(tmp_path, monkeypatch):
    """The one line that a command line ends in; composed by Hydra, run in this process."""

    def fit(*_, **__):
        raise AssertionError("training has begun")

    monkeypatch.setattr(pl.Trainer, "fit", fit)

    def told(words):
        with pytest.raises(Exception) as caught:  # noqa: PT011, PT012 - Hydra has types of its own
            config = run_config(composed(*words.split(), whole=True))
            run(config, tmp_path / "run", "model", "command")
        assert not isinstance(caught.value, AssertionError), caught.value
        message = explain(caught.value)
        assert message is not None, repr(caught.value)
        assert "\n" not in message
        assert len(message) < 800
        return message

    return told


@pytest.mark.parametrize(
    ("words", "line"),
    [
        # Keys that are none, at any depth, appended with + too.
        ("+seeed=3", "seeed: no such key; did you mean seed?"),
        ("+model.generator.widht=3", "model.generator.widht: no such key; did you mean width?"),
        ("+model.optimizer.lrr=3", "model.optimizer.lrr: no such key; did you mean lr?"),
        ("+trainer.max_epoch=3", "trainer.max_epoch: no such key; did you mean max_epochs?"),
        ("+evaluation.smaples=3", "evaluation.smaples: no such key; did you mean samples?"),
        ("+evaluation.measurements.new.k=3", "evaluation.measurements.new has no _target_"),
        ("+callbacks.mine=3", "callbacks.mine=3 must be an object"),
        ("+evaluation.probe.trunk.dept=3", "evaluation.probe.trunk.dept: no such key"),
        # Values of another type, at any depth.
        ("data.batch_size=abc", "data.batch_size=abc must be a whole number"),
        ("data.batch_size=null", "data.batch_size=null must be a whole number"),
        ("data.batch_size=true", "data.batch_size=true must be a whole number"),
        ("data=folder data.root=3", "data.root=3 must be a text or a path"),
        ("model.latent_dim=1.5", "model.latent_dim=1.5 must be a whole number"),
        ("model.generator=resnet", "to choose one write model/generator=resnet"),
        ("model.generator=null", "model.generator=null must be an object"),
        ("model.generator.width=abc", "model.generator.width=abc must be a whole number"),
        ("model.optimizer.lr=x", "model.optimizer.lr=x must be a number"),
        ("model.optimizer.betas=[0.9,x]", "must be a list of 2, each a number"),
        ("model=gan model.ema_half_life=x", "model.ema_half_life=x must be a number or null"),
        ("evaluation.probe.images=abc", "evaluation.probe.images=abc must be a whole number"),
        ("evaluation.measurements=foo", "write evaluation/measurements=foo"),
        ("trainer.max_epochs=abc", "trainer.max_epochs=abc must be a whole number or null"),
        ("max_images=abc", "max_images: Value 'abc'"),
        ("max_images=1.5", "max_images: Value '1.5'"),
        ("model=null", "takes the name of one, not null"),
        # Values outside their range.
        ("seed=-1", "seed=-1 must be a whole number from 0 to 2**32 - 1"),
        ("checks=0", "checks=0 must be 1 or more"),
        ("data.batch_size=-1", "data.batch_size=-1 must be at least 1"),
        ("data.batch_size=5000", "data.batch_size=5000 is larger than the 1293 training images"),
        ("model.latent_dim=0", "model.latent_dim must be 1 or more, not 0"),
        ("model.optimizer.lr=-1", "model.optimizer: Invalid learning rate: -1"),
        ("model.objective.beta=-1", "objective.beta must be 0 or more, not -1"),
        ("model.likelihood.deviation=0", "likelihood.deviation=0 must lie between 1e-6 and 1e6"),
        ("evaluation.samples=1", "evaluation.samples=1 must be a number of 2 or more"),
        ("evaluation.seed=4294967296", "evaluation.seed=4294967296 must be a whole number from 0"),
        ("evaluation.split=train", "evaluation.split=train: choices are test, validation"),
        ("trainer.precision=64", "trainer.precision: choices are 32-true, bf16-mixed"),
        # What Lightning offers and this package does not.
        ("+trainer.gradient_clip_val=1.0", "VAEs take model.clip=NORM"),
        ("+trainer.accumulate_grad_batches=2", "choose data.batch_size=N"),
        ("+trainer.fast_dev_run=true", "choose experiment=quick, or max_images=N"),
        ("+trainer.overfit_batches=1", "choose data.limit=N"),
        ("+trainer.min_epochs=1", "the budget is max_images=N"),
        ("+model.optimizer.foreach=true", "model.optimizer: "),
        ("+model.optimizer.differentiable=true", "model.optimizer: "),
        # What the code sets.
        ("+trainer.val_check_interval=5", "trainer.val_check_interval: choose checks=N"),
        ("+trainer.check_val_every_n_epoch=2", "choose checks=N"),
        ("+trainer.logger=false", "trainer.logger: choose logger=NAME"),
        ("+trainer.default_root_dir=/tmp", "hydra.run.dir=DIR"),
        ("+trainer.num_sanity_val_steps=2", "trainer.num_sanity_val_steps is set by the code"),
        ("model=cgan +model.num_classes=3", "model.num_classes is set by the code"),
        ("+model.training_images=3", "model.training_images is set by the code"),
        ("+model.shape=[1,8,8]", "model.shape is set by the code, from data and other keys: leave"),
        ("+model.generator.latent_dim=3", "model.generator.latent_dim is set by the code"),
        ("model=gan +model.trunk.features=3", "model.trunk.features is set by the code"),
        # More than any machine has.
        ("+model.generator.stages=16", "model: too little memory for its networks"),
        # What does not go together, or is not there.
        ("model/likelihood=bernoulli", "likelihood=bernoulli needs binary images"),
        ("train=false", "train=false needs ckpt_path=FILE"),
        ("ckpt_path=nowhere.ckpt", "nowhere.ckpt: there is no such file"),
        ("data=folder", "data.root is missing: give data.root=VALUE"),
        ("data=folder data.root=nowhere", "data.root=nowhere: there is no such folder"),
        ("data=mnist data.root=nowhere", "data.root=nowhere: no complete mnist"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_trained(attempt, words, line):
    assert line in attempt(words)


@pytest.mark.parametrize("name", ["LBFGS", "SparseAdam"])
def test_an_optimiser_that_would_break_in_the_first_step_is_refused_by_name(attempt, name):
    words = f"~model.optimizer +model.optimizer={{_target_:torch.optim.{name},_partial_:true}}"
    assert f"model.optimizer: {name} makes no step" in attempt(words)


STOP = "{_target_:pytorch_lightning.callbacks.EarlyStopping,monitor:none}"
RATE = "{_target_:pytorch_lightning.callbacks.LearningRateMonitor}"
MEAN = "{_target_:pytorch_lightning.callbacks.StochasticWeightAveraging,swa_lrs:0.1}"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("+trainer.limit_train_batches=0.001", "limit_train_batches"),
        (f"+callbacks.rate={RATE} logger=none", "`LearningRateMonitor`"),
        (f"+callbacks.mean={MEAN}", "SWA with"),
        (f"+callbacks.stop={STOP}", "Early stopping conditioned on metric `none`"),
    ],
)
def test_what_lightning_refuses_where_training_begins_is_one_line(words, line, tmp_path):
    quick = "experiment=quick", "trainer=cpu", "evaluate=false"
    with pytest.raises(UsageError) as caught:
        run(run_config(composed(*quick, *words.split(), whole=True)), tmp_path, "vae", "")
    message = explain(caught.value)
    assert message.startswith("trainer or callbacks: ")
    assert line in message
    assert "\n" not in message


def test_a_gpu_that_is_not_there_is_asked_for(attempt, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert attempt("trainer=gpu").endswith("use trainer=cpu")


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA:\nMore")])
def test_too_little_memory_names_what_to_change(error):
    assert "data.batch_size" in explain(error)
    assert "\n" not in explain(error)


@pytest.mark.parametrize("words", ["hydra.run.dir", "-m hydra.sweep.dir"])
@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300, "loop/below"])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, words, place):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    command = [sys.executable, REPOSITORY / "run.py", *f"{words}={place}".split()]
    done = subprocess.run(
        [*command, "experiment=quick"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stderr.startswith(f"error: {place}: no folder can be made there (")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert done.returncode == 2


@pytest.mark.parametrize("words", ["hydra.run.dir", "-m hydra.sweep.dir"])
@pytest.mark.parametrize("theirs", ["open('no/where')", "Path('no/where').mkdir()"])
def test_a_file_that_is_missing_deep_in_a_run_keeps_its_traceback(tmp_path, words, theirs):
    """Its error is of the same kind as that of the run's folder, and comes through Hydra too."""
    code = f"import runpy, gen_models.app; from pathlib import Path\ndef deep(*_): {theirs}\n"
    code += "gen_models.app.run = deep; runpy.run_path('run.py', run_name='__main__')"
    command = [sys.executable, "-c", code, *f"{words}={tmp_path}/run".split(), "experiment=quick"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("FileNotFoundError: ")
    assert done.returncode == 1
