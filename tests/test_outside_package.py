"""A package outside this one: its model and data are chosen, trained, measured, loaded, shared."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gen_models import load_run
from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.errors import UsageError
from gen_models.evaluate import main as evaluate
from gen_models.export import main as export
from gen_models.records import Record
from gen_models.report import main as report

from .conftest import REPOSITORY
from .test_configs import composed

PACKAGE = Path(__file__).with_name("outside_package")
CHOICES = "hydra.searchpath=[pkg://outside.conf]"
SMALL = [
    "trainer=cpu",
    "trainer.enable_progress_bar=false",
    "max_images=2_000",
    "checks=1",
    "trainer.log_every_n_steps=10",
    "evaluation.samples=100",
    "evaluation.probe=null",
    "~evaluation/measurements",
    "+evaluation.measurements={frechet:{_target_:gen_models.evaluation.FrechetDistance}}",
]
EVALUATION = [word for word in SMALL if "evaluation" in word]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where Python finds the package, and a run of its model on its data."""
    folder = tmp_path_factory.mktemp("outside")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PACKAGE))
        words = [CHOICES, "model=energy", "data=stripes", "trust=[outside]", *SMALL]
        run(RunConfig(**composed(*words)), folder / "run", "energy", "python run.py")
        yield folder


def values(folder):
    return {value.name: value for value in Record.read(folder / "record.json").values}


def test_without_trust_nothing_of_it_is_run(place, tmp_path):
    config = RunConfig(**composed(CHOICES, "model=energy", "data=stripes", *SMALL))
    with pytest.raises(UsageError, match=r"outside\.data\.Stripes is not allowed.*trust="):
        run(config, tmp_path / "run", "energy", "")


def test_it_is_trained_and_measured(place):
    record = Record.read(place / "run/record.json")
    assert (record.status, record.model, record.data) == ("finished", "energy", "stripes")
    assert record.config["trust"] == ["outside"]
    [curve] = [curve for curve in record.curves if curve.name == "train/energy/loss"]
    assert curve.values[-1] < curve.values[0]
    distance = values(place / "run")["fid_random128_100_test"]
    assert distance.floor.value < distance.value < distance.ceiling.value


def test_it_is_loaded_by_whoever_trusts_it(place):
    with pytest.raises(UsageError, match=r"outside\.models\.EnergyModel is not allowed"):
        load_run(place / "run")
    model = load_run(place / "run", trust=["outside"])
    assert type(model).__name__ == "EnergyModel"
    assert model.sample(3).shape == (3, 1, 8, 8)


def test_it_is_measured_again_shared_and_compared(place, tmp_path, capsys):
    assert evaluate([str(place / "run"), *EVALUATION]) == 1
    assert "made with code of outside: add trust=[outside]" in capsys.readouterr().err
    before = values(place / "run")
    assert evaluate([str(place / "run"), "trust=[outside]"]) == 0
    assert values(place / "run") == before

    words = [str(place / "run"), "--to", "safetensors", "--out", str(tmp_path / "shared")]
    assert export(words) == 2
    assert export([*words, "--trust", "outside"]) == 0
    shared = load_run(tmp_path / "shared", trust=["outside"])

    drawn = shared.sample(100, torch.Generator().manual_seed(0))
    np.save(tmp_path / "drawn.npy", drawn.numpy())
    words = ["--samples", str(tmp_path / "drawn.npy"), "--data", "stripes", "trust=[outside]"]
    assert evaluate([*words, CHOICES, *EVALUATION, "--out", str(tmp_path / "theirs")]) == 0
    name = "fid_random128_100_test"
    assert values(tmp_path / "theirs")[name] == before[name]

    folders = [str(place / "run"), str(tmp_path / "theirs")]
    assert report([*folders, "--out", str(tmp_path / "compared")]) == 0
    assert "energy" in (tmp_path / "compared/report.md").read_text()


def test_the_command_of_a_run_says_where_its_choices_lie(tmp_path):
    """By the search path, and by a folder of configurations; so does a job of a sweep."""
    choice = tmp_path / "conf/model/wide.yaml"
    choice.parent.mkdir(parents=True)
    choice.write_text("defaults: [vae, _self_]\nlatent_dim: 24\n")
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    places = [f"--config-dir={choice.parents[1]}", CHOICES]
    words = ["model=wide", "data=stripes", "trust=[outside]", "max_images=64", "evaluate=false"]
    for mode, key in (([], "run"), (["-m"], "sweep")):
        command = [sys.executable, "run.py", *mode, *places, *words, "trainer=cpu"]
        command.append(f"hydra.{key}.dir={tmp_path / key}")
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True)
    for folder in (tmp_path / "run", tmp_path / "sweep/0-wide-seed0"):
        told = shlex.split(Record.read(folder / "record.json").command)
        assert {*places, *words[:-1]} <= set(told)  # a sweep says False
