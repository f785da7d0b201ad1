"""Trained models from their folders, whole and exported; what is not to be trusted is refused."""

import pickle
import shutil
import subprocess
import sys

import pytest
import torch

import gen_models
from gen_models import load_run
from gen_models.app import run
from gen_models.checkpoints import read_checkpoint
from gen_models.config import RunConfig
from gen_models.data import Digits
from gen_models.errors import UsageError
from gen_models.export import main
from gen_models.loading import DESCRIPTION
from gen_models.models import GAN, VAE

from .test_configs import composed

QUICK = ["experiment=quick", "trainer=cpu", "trainer.enable_progress_bar=false", "evaluate=false"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A VAE, and a GAN whose generator has an average."""
    folders = {}
    for name in ("vae", "gan"):
        folders[name] = tmp_path_factory.mktemp(name) / "run"
        run(RunConfig(**composed(*QUICK, f"model={name}", "checks=2")), folders[name], name, "")
    return folders


@pytest.fixture
def folder(trained, tmp_path):
    """A run of one's own to spoil."""
    return shutil.copytree(trained["vae"], tmp_path / "run")


def same_weights(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def seeded(number=0):
    return torch.Generator().manual_seed(number)


@pytest.mark.parametrize(("name", "family"), [("vae", VAE), ("gan", GAN)])
def test_a_run_draws_what_lightning_would_have_loaded(trained, name, family):
    made = load_run(trained[name])
    assert type(made) is family
    assert not made.training
    pixels = made.sample(64, seeded())
    assert pixels.shape == (64, 1, 16, 16)
    last = trained[name] / "checkpoints/last.ckpt"
    wanted = family.load_from_checkpoint(last, map_location="cpu").sample(64, seeded())
    assert torch.equal(pixels, wanted)


def test_last_and_best_are_both_there(trained):
    for which in ("last", "best"):
        stored = read_checkpoint(str(trained["vae"] / f"checkpoints/{which}.ckpt"))
        made = load_run(str(trained["vae"]), checkpoint=which)
        assert made.images_seen == stored["images_seen"]
        assert same_weights(made.state_dict(), stored["state_dict"])
    with pytest.raises(UsageError, match="'newest' must be last or best"):
        load_run(trained["vae"], checkpoint="newest")


def test_in_a_run_its_checkpoints_are_read_and_not_what_was_exported_there(folder):
    """The export is of the last checkpoint, and stays as it is when training goes on."""
    assert main([str(folder), "--to", "safetensors", "--out", str(folder)]) == 0
    best = folder / "checkpoints/best.ckpt"
    held = torch.load(best, weights_only=True)
    held["images_seen"] = 7
    torch.save(held, best)
    assert load_run(folder, "best").images_seen == 7
    best.unlink()
    with pytest.raises(UsageError, match=r"best\.ckpt"):
        load_run(folder, "best")


def test_a_model_can_do_all_that_it_could(trained):
    data = Digits()
    data.setup()
    pixels = data.test.images[:4].float() / 255
    assert load_run(trained["vae"]).reconstruct(pixels).shape == pixels.shape


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: no run, and no exported model, lies there"),
        (["RUN/checkpoints"], "no run, and no exported model"),
    ],
)
def test_what_is_no_run_is_told_in_one_line(folder, words, message, capsys):
    assert main([words[0].replace("RUN", str(folder)), "--to", "onnx"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("place", ["checkpoints/last.ckpt", DESCRIPTION])
def test_a_pickle_in_a_strangers_folder_is_refused_and_does_not_run(folder, place, tmp_path):
    touched = tmp_path / "touched"
    (folder / "checkpoints").rename(tmp_path / "checkpoints")  # else no export is looked at
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).write_bytes(pickle.dumps(Payload(touched)))
    with pytest.raises(UsageError):
        load_run(folder)
    (folder / "checkpoints").mkdir(exist_ok=True)
    torch.save({"state_dict": Payload(touched)}, folder / "checkpoints/best.ckpt")
    with pytest.raises(UsageError):
        load_run(folder, checkpoint="best")
    assert not touched.exists()


@pytest.mark.parametrize("where", ["target", "arguments"])
def test_a_folder_cannot_name_code_of_its_own(folder, where, tmp_path):
    """Neither the class of a checkpoint, nor one that its arguments hold, nor an export's."""
    last = folder / "checkpoints/last.ckpt"
    held = torch.load(last, weights_only=True)
    if where == "target":
        held["target"] = "os.system"
    else:
        held["hyper_parameters"]["generator"] = {"_target_": "os.system", "command": "true"}
    torch.save(held, last)
    with pytest.raises(UsageError, match=r"os\.system is not allowed.*trust="):
        load_run(folder)
    torch.save({**held, "target": "torch.load"}, last)
    with pytest.raises(UsageError, match=r"torch\.load is not allowed"):
        load_run(folder, trust=["tests"])


def test_trust_is_of_one_load_alone(tmp_path, monkeypatch, folder):
    from gen_models.recipes import build

    theirs = "from gen_models.models import VAE\n\n\nclass Theirs(VAE):\n    pass\n"
    (tmp_path / "their_models.py").write_text(theirs)
    monkeypatch.syspath_prepend(str(tmp_path))
    last = folder / "checkpoints/last.ckpt"
    held = torch.load(last, weights_only=True)
    held["target"] = "their_models.Theirs"
    torch.save(held, last)
    with pytest.raises(UsageError, match=r"trust=\[PACKAGE\]"):
        load_run(folder)
    assert type(load_run(folder, trust=["their_models"])).__name__ == "Theirs"
    with pytest.raises(UsageError, match="not allowed"):
        build({"_target_": "their_models.Theirs"})


def test_weights_that_are_not_the_models_are_told_of(folder):
    last = folder / "checkpoints/last.ckpt"
    held = torch.load(last, weights_only=True)
    first = next(iter(held["state_dict"]))
    torch.save({**held, "state_dict": {**held["state_dict"], "more": torch.zeros(1)}}, last)
    with pytest.raises(UsageError, match="more"):
        load_run(folder)
    held["state_dict"][first].view(-1)[0] = torch.nan
    torch.save(held, last)
    with pytest.raises(UsageError, match=f"{first} is not finite; try checkpoint='best'"):
        load_run(folder)


def test_importing_the_package_costs_no_torch():
    code = "import sys, gen_models; assert 'torch' not in sys.modules; gen_models.__version__"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gen_models.nothing  # noqa: B018
