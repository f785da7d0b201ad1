"""Files of strangers: payloads that would run if they could, in all that is read or named."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from gen_models import load_run
from gen_models.allowed import trust
from gen_models.app import run
from gen_models.data import TorchvisionImages
from gen_models.data.samples import read_samples
from gen_models.errors import UsageError
from gen_models.evaluate import evaluate as evaluate_run
from gen_models.evaluation import Inception
from gen_models.evaluation.statistics.moments import Moments
from gen_models.models import VAE
from gen_models.recipes import build
from tests.evaluation.models import Complete, evidence
from tests.models.conftest import parts, quiet_trainer
from tests.test_run import config

from .conftest import REPOSITORY


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def mark(tmp_path):
    """The file that a payload touches; it is not there in the end."""
    path = tmp_path / "it_ran"
    yield path
    trust([])
    assert not path.exists(), "the payload has run"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strangers") / "run"
    run(config("evaluate=false"), folder, "vae", "")
    return folder


def pickled(path, mark, how):
    """A file that runs the payload where it is read carelessly, as each library writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "torch":
        torch.save({"state_dict": Payload(mark), "images_seen": 1}, path)
    elif how == "numpy":
        with path.open("wb") as stream:
            np.save(stream, np.array([Payload(mark)], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Payload(mark)))
    return path


def test_the_payloads_work(tmp_path):
    """So that what follows can fail."""
    for how, read in (
        ("torch", lambda path: torch.load(path, weights_only=False)),
        ("numpy", lambda path: np.load(path, allow_pickle=True)),
        ("pickle", lambda path: pickle.loads(path.read_bytes())),
    ):
        mark = tmp_path / f"ran_{how}"
        read(pickled(tmp_path / how, mark, how))
        assert mark.exists()


READERS = {
    "ckpt_path of a run": lambda path: run(
        config("train=false", f"ckpt_path={path}"), path.parent / "run", "vae", ""
    ),
    "samples": lambda path: read_samples(path, (1, 16, 16)),
    "Inception's weights": lambda path: Inception((1, 16, 16), "digits", weights=str(path)),
    "moments": Moments.load,
}


@pytest.mark.parametrize("how", ["torch", "numpy", "pickle"])
@pytest.mark.parametrize("suffix", [".ckpt", ".npy", ".npz", ".pt", ".safetensors"])
@pytest.mark.parametrize("reader", READERS)
def test_a_pickle_is_refused_in_one_line_and_does_not_run(reader, suffix, how, mark, tmp_path):
    path = pickled(tmp_path / f"file{suffix}", mark, how)
    with pytest.raises(UsageError) as error:
        READERS[reader](path)
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)
    assert "weights_only=False" not in str(error.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_lightnings_own_ways_of_loading_do_not_run_it_either(how, mark, tmp_path):
    path = pickled(tmp_path / "last.ckpt", mark, how)
    with pytest.raises(pickle.UnpicklingError):
        VAE.load_from_checkpoint(path)
    with pytest.raises(pickle.UnpicklingError):
        quiet_trainer(tmp_path).fit(VAE(**parts()), [torch.rand(4, 1, 8, 8)], ckpt_path=path)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_the_checkpoint_of_a_run_folder(how, mark, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    pickled(folder / "checkpoints/last.ckpt", mark, how)
    for read in (load_run, lambda folder: evaluate_run(folder, (), "")):
        with pytest.raises(UsageError, match=r"last\.ckpt"):
            read(folder)


def test_a_target_in_a_checkpoint_or_its_record_goes_through_the_door(mark, finished, tmp_path):
    evil = {"_target_": "os.system", "command": f"touch {mark}"}
    folder = shutil.copytree(finished, tmp_path / "run")
    path = folder / "checkpoints/last.ckpt"
    stored = torch.load(path, weights_only=True)
    stored["hyper_parameters"]["objective"] = evil
    torch.save(stored, path)
    for read in (load_run, VAE.load_from_checkpoint):
        with pytest.raises(UsageError, match=r"os\.system is not allowed"):
            read(folder if read is load_run else path)
    stored["target"] = "os.system"
    torch.save(stored, path)
    with pytest.raises(UsageError, match=r"os\.system is not allowed"):
        load_run(folder)
    record = json.loads((folder / "record.json").read_text())
    for place in ("data", "model", "trainer", "evaluation"):
        changed = json.loads(json.dumps(record))
        changed["config"][place]["extra"] = evil
        (folder / "record.json").write_text(json.dumps(changed))
        with pytest.raises(UsageError):
            evaluate_run(folder, (), "")
    changed = record | {"config": record["config"] | {"trust": ["os"]}}
    (folder / "record.json").write_text(json.dumps(changed))
    with pytest.raises(UsageError, match=r"made with code of os: add trust=\[os\]"):
        evaluate_run(folder, (), "")


def test_a_poisoned_feature_cache_is_computed_again(mark, tmp_path, caplog):
    clean = evidence(Complete(), samples=100, folder=tmp_path / "store").views[0].real.features
    [entry] = (tmp_path / "store").glob("*.safetensors")
    for how in ("torch", "numpy", "pickle"):
        pickled(entry, mark, how)
        again = evidence(Complete(), samples=100, folder=tmp_path / "store").views[0].real
        assert torch.equal(again.features, clean)
        assert "is damaged" in caplog.text
        caplog.clear()


def test_a_poisoned_data_set_is_refused(mark, tmp_path):
    """CIFAR-10 is published as pickles: torchvision reads none whose checksum is another."""
    for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list):
        pickled(tmp_path / CIFAR10.base_folder / name, mark, "pickle")
    pickled(tmp_path / CIFAR10.base_folder / CIFAR10.meta["filename"], mark, "pickle")
    with pytest.raises(UsageError):
        TorchvisionImages("cifar10", root=str(tmp_path)).setup()


def ways(folder, mark):
    """Recipes that would run something, each by a way of its own."""
    file = str(pickled(folder / "evil.ckpt", mark, "torch"))
    load = f"{{_target_: torch.load, f: {file}, weights_only: false}}"
    touch = f"touch {mark}"
    system = {"_target_": "os.system", "_args_": [touch]}
    relu = {"_target_": "torch.nn.ReLU"}
    return {
        "a function": system,
        "a function that loads": {"_target_": "torch.load", "f": file, "weights_only": False},
        "nested": relu | {"inplace": system},
        "nested in lists": {"_target_": "torch.nn.Sequential", "_args_": [[[system]]]},
        "a partial": system | {"_partial_": True},
        "not recursive": relu | {"_recursive_": False, "inplace": system},
        "not converted": relu | {"_convert_": "none", "inplace": system},
        "a module's import": system | {"_target_": "gen_models.evaluation.store.os.system"},
        "a private name": {"_target_": "torch.nn.modules.module._forward_unimplemented"},
        "a method that loads": {
            "_target_": "pytorch_lightning.trainer.Trainer.fit",
            "self": {"_target_": "pytorch_lightning.trainer.Trainer", "logger": False},
            "model": relu,
            "train_dataloaders": [1],
            "ckpt_path": file,
            "weights_only": False,
        },
        "a function that writes": {
            "_target_": "gen_models.records.write_whole",
            "path": {"_target_": "gen_models.harness.cache_folder", "option": str(mark)},
            "content": "it ran",
        },
        "git by an alias": {
            "_target_": "gen_models.provenance._git",
            "_args_": ["-c", f"alias.x=!{touch}", "x"],
        },
        "an interpolation that makes a recipe": relu
        | {"inplace": f"${{oc.create:${{oc.decode:'{load}'}}}}"},
        "trust itself": {"_target_": "gen_models.allowed.trust", "prefixes": ["os", "torch"]},
        "a whole run that trusts": {
            "_target_": "gen_models.app.Run",
            "config": {"_target_": "gen_models.config.RunConfig", "trust": ["os"]},
            "folder": str(folder),
            "name": "",
            "command": "",
        },
        "a target that is no text": system | {"_target_": ["os.system"]},
        "a hook for all modules": {
            "_target_": "torch.nn.modules.module.register_module_forward_hook",
            "hook": relu,
        },
    }


def test_no_way_leads_round_the_door(mark, tmp_path):
    for name, recipe in ways(tmp_path, mark).items():
        for place in (recipe, {"_target_": "torch.nn.ModuleDict", "modules": {"a": recipe}}):
            with pytest.raises(UsageError) as error:
                build(place, "callbacks.evil")
            assert "\n" not in str(error.value), name
            assert "callbacks.evil" in str(error.value), name
        assert not mark.exists(), name
    with pytest.raises(UsageError, match="not allowed"):  # nothing has widened it
        build({"_target_": "os.getcwd"}, "callbacks.evil")


STRANGE = {
    "callback": (
        "hydra: {callbacks: {x: {_target_: torch.load, f: FILE, weights_only: false}}}",
        "hydra.callbacks.x._target_=torch.load is not allowed",
    ),
    "sweeper": (
        "hydra: {sweeper: {_target_: torch.load, params: {f: FILE, weights_only: false}}}",
        "hydra.sweeper._target_=torch.load is not allowed",
    ),
    "trust": ("trust: [os]", "a file of the configuration trusts os: add trust=[os] if you do"),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_a_strangers_yaml_runs_nothing_and_trusts_nobody(strange, mark, tmp_path):
    text, told = STRANGE[strange]
    (tmp_path / "experiment").mkdir()
    file = pickled(tmp_path / "evil.ckpt", mark, "torch")
    yaml = f"# @package _global_\n{text.replace('FILE', str(file))}\n"
    (tmp_path / "experiment/evil.yaml").write_text(yaml)
    done = subprocess.run(
        [sys.executable, "run.py", "--config-dir", str(tmp_path), "experiment=evil"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
