"""Whole runs: recomputed by other code, evaluated again, resumed, interrupted, swept."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.data import Digits
from gen_models.errors import Diverged, UsageError
from gen_models.evaluate import evaluate
from gen_models.models import GAN, VAE
from gen_models.records import Record
from gen_models.reporting.runs import Unreadable, read_run

from .conftest import REPOSITORY
from .test_configs import composed

QUICK = ["experiment=quick", "trainer=cpu", "trainer.enable_progress_bar=false"]


def config(*overrides):
    return RunConfig(**composed(*QUICK, *overrides))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One quick run of each family."""
    folders = {}
    for name in ("vae", "gan"):
        folders[name] = tmp_path_factory.mktemp(name) / "run"
        run(config(f"model={name}"), folders[name], name, f"python run.py model={name}")
    return folders


def record(folder):
    return Record.read(folder / "record.json")


def values(folder):
    return {value.name: value for value in record(folder).values}


def test_a_run_leaves_everything_in_its_folder(finished):
    for folder in finished.values():
        names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
        assert {
            "record.json",
            "report.html",
            "report.md",
            "status.json",
            "metrics.csv",
            "split.safetensors",
            "checkpoints/last.ckpt",
            "checkpoints/best.ckpt",
            "pictures/samples.png",
            "pictures/reconstructions.png",
            "pictures/extremes.png",
            "pictures/interpolation.png",
        } <= names
        assert any(name.startswith("progress/") for name in names)
        assert json.loads((folder / "status.json").read_text())["status"] == "finished"
    _, encoder, search = next(p.rows for p in record(finished["gan"]).pictures if len(p.rows) == 3)
    assert encoder == "encoder: none"
    assert search.startswith("latent search: mean squared error")


def test_both_families_have_the_same_budget_generator_and_rows(finished):
    vae, gan = record(finished["vae"]), record(finished["gan"])
    assert vae.budget.images_seen == gan.budget.images_seen == 2048
    assert vae.budget.iterations == gan.budget.iterations == 32
    assert vae.parameters["generator"] == gan.parameters["generator"]
    assert [v.name for v in vae.values] == [v.name for v in gan.values]
    assert vae.data_fingerprint == gan.data_fingerprint
    assert (
        values(finished["gan"])["rate_nats_test"].reason
        == "GAN has no bound on log p(x) (it does not satisfy BoundsLikelihood)"
    )


def test_reconstruction_and_rate_are_found_again_by_other_code(finished):
    """From the checkpoint alone, with the formulas written out."""
    vae = VAE.load_from_checkpoint(finished["vae"] / "checkpoints/last.ckpt").eval()
    data = Digits()
    data.setup()
    pixels = data.test.images.float() / 255
    with torch.no_grad():
        features = vae.encoder[0]((pixels - 0.5) / 0.5)
        mean, deviation = features[:, :16], torch.nn.functional.softplus(features[:, 16:]) + 1e-4
        made = torch.sigmoid(2 * vae.generator(mean))
    error = (made - pixels).square().mean()
    rate = 0.5 * (mean**2 + deviation**2 - 1 - 2 * deviation.log()).sum(1).mean()
    stored = values(finished["vae"])
    assert stored["reconstruction_mse_test_360"].value == pytest.approx(error.item(), rel=1e-4)
    assert stored["rate_nats_test"].value == pytest.approx(rate.item(), rel=1e-4)
    parts = stored["distortion_nats_test"].value + stored["rate_nats_test"].value
    assert stored["elbo_nats_test"].value == pytest.approx(-parts, rel=1e-5)


def test_evaluating_again_gives_the_same_numbers(finished, tmp_path):
    for name, folder in finished.items():
        again = tmp_path / name
        last = folder / "checkpoints/last.ckpt"
        run(config(f"model={name}", "train=false", f"ckpt_path={last}"), again, name, "")
        assert values(again) == values(folder)
        assert record(again).budget.images_seen == 2048


def test_a_loaded_gan_evaluates_its_averaged_generator(finished):
    gan = GAN.load_from_checkpoint(finished["gan"] / "checkpoints/last.ckpt").eval()
    z = torch.randn(2, 16)
    torch.testing.assert_close(gan.decode(z), gan.pixels(gan.average.network(z)))


def test_training_goes_on_from_a_checkpoint_to_a_larger_budget(finished, tmp_path):
    last = finished["gan"] / "checkpoints/last.ckpt"
    overrides = ["model=gan", "max_images=3000", f"ckpt_path={last}", "evaluate=false"]
    run(config(*overrides), tmp_path / "run", "gan", "")
    resumed = record(tmp_path / "run")
    assert resumed.budget.images_seen == 3008
    assert resumed.curves[0].images[0] <= 2048


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train=false"], "ckpt_path"),
        (["ckpt_path=nowhere.ckpt"], "nowhere.ckpt"),
        (["model.latent_dim=0"], "latent_dim"),
        (["model/likelihood=bernoulli"], "data.binarize=dynamic"),
        (["max_images=0"], "max_images"),
        (["evaluation.split=tset"], "test, validation"),
        (["trainer=gpu"], "trainer=cpu"),
        (["model=gan", "model.n_critic=0"], "n_critic"),
        (["model.optimizer.lr=-1"], "learning rate"),
        (["model.optimizer.lr=fast"], "model"),
        (["model.likelihood=gaussian"], "write model/likelihood=gaussian"),
        (["model=gan", "model.objective=hinge"], "write model/objective=hinge"),
        (["evaluation.features=random"], "write evaluation/features=random"),
        (["model.latent_dim=2.5"], "latent_dim"),
        (["model.generator.width=0"], "width"),
        (["evaluation.samples=0"], "evaluation.samples"),
        (["evaluation.seed=abc"], "evaluation.seed"),
        (["evaluation.measurements.inversion.restarts=0"], "restarts"),
        (["trainer.log_every_n_steps=0"], "log_every_n_steps"),
        (["trainer.precision=64-true"], "bf16-mixed"),
        (["+trainer.max_steps=10"], "max_images"),
        (["data.batch_size=0"], "data.batch_size=0 must be at least 1"),
        (["data.scaling=log"], "unit, symmetric, standard"),
        (["data.batch_size=5000"], "batch_size"),
        (["evaluation/features=inception"], "evaluation.features.inception.weights"),
        (["+model.latent_dmi=3"], "did you mean latent_dim"),
        (["+trainer.max_epoch=3"], "did you mean max_epochs"),
    ],
)
def test_bad_input_is_told_in_one_line_before_training(overrides, message, tmp_path):
    with pytest.raises(UsageError) as error:
        run(config(*overrides), tmp_path / "run", "vae", "")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    told = json.loads((tmp_path / "run/status.json").read_text())
    assert told["status"] == "failed"
    assert message in told["reason"]


def test_resuming_gives_the_weights_of_the_run_that_was_never_stopped(finished, tmp_path):
    """2,048 images and then 2,048 more, against 4,096 in one go: bit for bit, noise included."""
    for name in ("vae", "gan"):
        overrides = [f"model={name}", "max_images=4096", "evaluate=false"]
        run(config(*overrides), tmp_path / name / "whole", name, "")
        last = finished[name] / "checkpoints/last.ckpt"
        run(config(*overrides, f"ckpt_path={last}"), tmp_path / name / "legs", name, "")
        one, two = (
            torch.load(tmp_path / name / leg / "checkpoints/last.ckpt", weights_only=True)
            for leg in ("whole", "legs")
        )
        assert one["images_seen"] == two["images_seen"] == 4096
        for key, value in one["state_dict"].items():
            assert torch.equal(value, two["state_dict"][key]), (name, key)


def test_seconds_add_up_over_legs_and_are_kept_in_evaluation(finished, tmp_path):
    last = finished["vae"] / "checkpoints/last.ckpt"
    before = record(finished["vae"]).budget
    assert before.training_seconds > 0
    assert before.evaluation_seconds > 0
    run(config("max_images=2100", f"ckpt_path={last}", "evaluate=false"), tmp_path / "a", "vae", "")
    assert record(tmp_path / "a").budget.training_seconds > before.training_seconds
    run(config("train=false", f"ckpt_path={last}"), tmp_path / "b", "vae", "")
    kept = record(tmp_path / "b").budget.training_seconds
    assert kept == pytest.approx(before.training_seconds, abs=0.5)


class Stop(pl.Callback):
    """A mistake of the user's own, behind the checkpoint of the validation before."""

    begun = 0

    def on_validation_start(self, trainer, module):
        self.begun += 1
        if self.begun == 2:
            raise RuntimeError("no more")


def test_a_leg_that_did_not_end_leaves_no_older_record_beside_its_weights(finished, tmp_path):
    folder = shutil.copytree(finished["vae"], tmp_path / "run")
    kept = (folder / "record.json").read_bytes()
    more = config("max_images=4000", "checks=4", "resume=true", "trust=[tests]")
    more.callbacks = {"stop": {"_target_": "tests.test_run.Stop"}}
    with pytest.raises(RuntimeError, match="no more"):
        run(more, folder, "vae", "python run.py")
    told = read_run(folder)
    assert isinstance(told, Unreadable)
    assert told.problem == "no record.json; status.json says failed (RuntimeError: no more)"
    assert (folder / "previous_record.json").read_bytes() == kept
    with pytest.raises(UsageError, match=r"^no record\.json"):
        evaluate(folder, [], "")
    shutil.copy(folder / "previous_record.json", folder / "record.json")
    before = record(folder).budget.images_seen
    with pytest.raises(UsageError, match=rf"images and its record {before}: training went on"):
        evaluate(folder, [], "")


def test_a_spent_budget_is_said(finished, tmp_path):
    last = finished["vae"] / "checkpoints/last.ckpt"
    with pytest.raises(UsageError, match="larger max_images"):
        run(config(f"ckpt_path={last}"), tmp_path / "run", "vae", "")


def test_training_options_need_not_be_the_same_to_evaluate(finished, tmp_path):
    last = f"ckpt_path={finished['vae'] / 'checkpoints/last.ckpt'}"
    run(config("train=false", last, "model.optimizer.lr=0.5"), tmp_path / "a", "vae", "")
    with pytest.raises(UsageError, match=r"optimizer\.lr is 0\.001 there and 0\.5 here"):
        run(config(last, "model.optimizer.lr=0.5", "max_images=9000"), tmp_path / "b", "vae", "")


def test_a_diverged_run_has_a_record_that_says_so(tmp_path):
    with pytest.warns(UserWarning, match="divergence at"), pytest.raises(Diverged, match="finite"):
        run(config("model.optimizer.lr=1e30"), tmp_path / "run", "vae", "")
    assert record(tmp_path / "run").status == "diverged"
    assert "finite" in record(tmp_path / "run").reason
    assert [event.kind for event in record(tmp_path / "run").events] == ["divergence"]
    assert "train/vae/loss" in {curve.name for curve in record(tmp_path / "run").curves}
    assert (tmp_path / "run/report.html").exists()
    assert json.loads((tmp_path / "run/status.json").read_text())["status"] == "diverged"


def test_the_best_checkpoint_has_the_lowest_distance_to_validation_images(tmp_path):
    run(config("max_images=6000", "checks=4", "evaluate=false"), tmp_path / "run", "vae", "")
    [curve] = [c for c in record(tmp_path / "run").curves if "fid" in c.name]
    assert curve.name == "validation/fid_digits64_200_validation"
    best = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    assert best["images_seen"] == curve.images[curve.values.index(min(curve.values))]
    assert len(set(curve.values)) > 2


def test_selection_sees_no_test_image(tmp_path, monkeypatch):
    curves = []
    for name in ("as_they_are", "blank"):
        run(config("checks=2", "evaluate=false"), tmp_path / name, "vae", "")
        logged = record(tmp_path / name).curves
        # All but the clock's.
        curves.append([replace(c, seconds=()) for c in logged if "validation" in c.name])
        load = Digits.load

        def blank(self, load=load):
            train, test = load(self)
            test.images.zero_()
            return train, test

        monkeypatch.setattr(Digits, "load", blank)
    assert curves[0] == curves[1]


def test_a_checkpoint_of_another_model_is_refused(finished, tmp_path):
    last = finished["vae"] / "checkpoints/last.ckpt"
    with pytest.raises(UsageError, match="another model"):
        run(config("model=gan", "train=false", f"ckpt_path={last}"), tmp_path / "a", "gan", "")
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(UsageError, match="not a readable checkpoint"):
        run(config("train=false", f"ckpt_path={broken}"), tmp_path / "b", "vae", "")


@pytest.mark.parametrize("more", [["train=false"], ["max_images=3000"]])
def test_a_checkpoint_of_another_kind_of_data_is_refused(finished, tmp_path, more):
    """The digits as pictures, in as many training images; some test images are others."""
    train, test = Digits().load()
    images = torch.cat([test.images, train.images])[:, 0].numpy()
    for number, image in enumerate(images):
        split = tmp_path / ("train" if number < len(train) else "test")
        split.mkdir(exist_ok=True)
        Image.fromarray(image).save(split / f"{number:04}.png")
    kind = ["data=folder", f"data.root={tmp_path}", "data.image_size=16"]
    last = f"ckpt_path={finished['vae'] / 'checkpoints/last.ckpt'}"
    with pytest.raises(UsageError, match="made on other data or other splits than this folder"):
        run(config(*kind, *more, last, "evaluate=false"), tmp_path / "run", "vae", "")
    assert not (tmp_path / "run/checkpoints").exists()


def test_two_runs_cannot_share_a_folder(finished):
    with pytest.raises(UsageError, match=r"hydra\.run\.dir"):
        run(config(), finished["vae"], "vae", "")
    assert json.loads((finished["vae"] / "status.json").read_text())["status"] == "finished"


def test_choices_of_evaluation_do_not_move_training(finished, tmp_path):
    overrides = ["evaluation/features=random", "evaluate=false"]
    run(config(*overrides), tmp_path / "run", "vae", "")
    one, two = (
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for folder in (finished["vae"], tmp_path / "run")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)


def command(*words, **options):
    return subprocess.Popen(
        [sys.executable, "run.py", *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_typing_error_costs_one_line_and_status_2():
    process = command("model=vea")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("error: model=vea: no such choice; did you mean vae? Choices: ")
    assert errors.count("\n") == 1


def test_ctrl_c_saves_says_how_to_go_on_and_exits_130(tmp_path):
    folder = tmp_path / "run"
    process = command("max_images=100_000_000", "checks=1", f"hydra.run.dir={folder}")
    try:
        deadline = time.monotonic() + 120
        while not (folder / "metrics.csv").exists():
            assert time.monotonic() < deadline, process.communicate()
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    words = f"max_images=100_000_000 checks=1 hydra.run.dir={folder} resume=true"
    assert f"Go on with: python run.py {words}\n" in output
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["images_seen"] == record(folder).budget.images_seen > 0
    assert record(folder).status == "interrupted"


def test_a_sweep_ends_in_a_comparison_and_outlives_failed_and_diverged_jobs(tmp_path):
    """A rate of 1e30 diverges, a latent of size 0 fails; the error is that of the first of them."""
    words = ["-m", "model.optimizer.lr=1e30,1e-3", "model.latent_dim=4,0", "experiment=quick"]
    process = command(*words, "evaluate=false", f"hydra.sweep.dir={tmp_path}/sweep")
    output, errors = process.communicate(timeout=240)
    report = tmp_path / "sweep" / "report.html"
    assert process.returncode == 1, errors
    assert "error: train/vae/loss was not finite at " in errors
    assert "Traceback" not in errors
    assert str(report) in output
    statuses = [
        json.loads(path.read_text())["status"]
        for path in sorted(Path(tmp_path / "sweep").glob("*/status.json"))
    ]
    assert sorted(statuses) == ["diverged", "failed", "failed", "finished"]
    text = (tmp_path / "sweep" / "report.md").read_text()
    assert "latent_dim must be 1 or more" in text
    assert "1 diverged, 2 without a readable record and 1 finished" in text
