"""`python -m gen_models.evaluate`: trained runs, measured where they lie."""

import json
import shlex
import shutil
from dataclasses import replace

import pytest

from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.errors import UsageError
from gen_models.evaluate import evaluate, main, recorded_config, sort_words
from gen_models.records import Record

from .test_configs import composed

QUICK = [
    "experiment=quick",
    "trainer=cpu",
    "trainer.enable_progress_bar=false",
    "max_images=640",
    "evaluation.samples=100",
    "evaluation.probe.images=128",
    "evaluation.measurements.path_length.paths=10",
]
SMALL = [
    "evaluation.samples=50",
    "evaluation.probe=null",
    "evaluation/features=components",
    "~evaluation/measurements",
    "+evaluation.measurements={frechet:{_target_:gen_models.evaluation.FrechetDistance}}",
]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A quick run, and what evaluate=false would have left of it."""
    folder = tmp_path_factory.mktemp("sweep")
    run(RunConfig(**composed(*QUICK)), folder / "evaluated", "vae", "python run.py")
    shutil.copytree(folder / "evaluated", folder / "trained")
    shutil.rmtree(folder / "trained" / "pictures")
    made = record(folder / "trained")
    config = made.config | {"evaluate": False}
    budget = replace(made.budget, evaluation_seconds=0.0)
    change(folder / "trained", values=(), pictures=(), config=config, budget=budget)
    return folder


@pytest.fixture
def copy(sweep, tmp_path):
    """A run of one's own to measure."""

    def make(name="evaluated"):
        return shutil.copytree(sweep / name, tmp_path / name)

    return make


def record(folder):
    return Record.read(folder / "record.json")


def change(folder, **changes):
    replace(record(folder), **changes).write(folder / "record.json")
    return folder


def untouched(folder):
    """What measuring must leave alone, byte by byte."""
    names = ("metrics.csv", "split.safetensors", "checkpoints/last.ckpt", "checkpoints/best.ckpt")
    return [(folder / name).read_bytes() for name in names]


def test_values_are_those_of_the_runs_own_evaluation(sweep, copy):
    own = record(sweep / "evaluated")
    folder = change(copy("trained"), reason="stopped at 640 of 6400 images by a limit")
    kept, old = untouched(folder), record(folder)
    new = evaluate(folder, [], "again")
    assert new == record(folder)
    assert new.values == own.values
    assert new.pictures == own.pictures
    for picture in own.pictures:
        path = sweep / "evaluated" / picture.file
        assert (folder / picture.file).read_bytes() == path.read_bytes()
    assert new.measured.command == "again"
    assert new.measured.versions == own.versions
    assert new.config == own.config
    assert new.budget.evaluation_seconds > 0
    # What training left is as it was.
    budget = replace(new.budget, evaluation_seconds=0.0)
    then = {name: getattr(old, name) for name in ("values", "pictures", "measured", "config")}
    assert replace(new, budget=budget, **then) == old
    assert untouched(folder) == kept
    assert new.values[0].name in (folder / "report.md").read_text()


def test_a_sweep_is_measured_by_other_means_and_one_bad_run_costs_one_line(copy, tmp_path, capsys):
    good, broken = copy("trained"), copy("evaluated")
    (broken / "checkpoints/last.ckpt").unlink()
    before = (broken / "record.json").read_bytes()
    assert main([str(tmp_path), *SMALL]) == 1
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {broken}: ckpt_path=")
    assert told.err.count("\n") == 1
    assert (broken / "record.json").read_bytes() == before
    assert f"python -m gen_models.report {tmp_path}" in told.out
    made = record(good)
    assert "fid_pca64_50_test" in {value.name for value in made.values}
    assert made.config["evaluation"]["samples"] == 50
    assert made.config["evaluation"]["probe"] is None
    assert made.measured.command.endswith(shlex.join([str(tmp_path), *SMALL]))
    # Measured once more it keeps to these means, as to those of any other run.
    assert recorded_config(made, good, []).evaluation == made.config["evaluation"]
    # One that was trained on a GPU is measured where there is none.
    elsewhere = made.config | {"trainer": {**made.config["trainer"], "accelerator": "gpu"}}
    asked = recorded_config(replace(made, config=elsewhere), good, []).trainer
    assert (asked["accelerator"], asked["devices"]) == ("auto", 1)


def test_pictures_and_record_change_together_or_not_at_all(copy, monkeypatch):
    """Ctrl-C behind the pictures, before the record: the old record shows what it showed."""
    folder = copy("evaluated")
    old = record(folder)
    shown = {p.file: (folder / p.file).read_bytes() for p in old.pictures}

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Record, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            evaluate(folder, [*SMALL, "evaluation.seed=5"], "again")
    assert record(folder) == old
    assert {p.file: (folder / p.file).read_bytes() for p in record(folder).pictures} == shown
    new = evaluate(folder, [*SMALL, "evaluation.seed=5"], "again")
    assert "pictures/samples.png" in shown
    assert "pictures/samples.png" not in {p.file for p in new.pictures}
    left = {f"pictures/{path.name}" for path in (folder / "pictures").iterdir()}
    assert left == {p.file for p in new.pictures}


def test_a_run_stopped_in_its_evaluation_is_finished_by_this(copy):
    folder = change(copy("trained"), status="interrupted", reason="Ctrl-C in evaluation")
    assert evaluate(folder, SMALL, "").status == "finished"
    assert record(folder).reason is None
    assert json.loads((folder / "status.json").read_text())["status"] == "finished"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "diverged", "reason": "loss is nan"}, "diverged (loss is nan)"),
        ({"status": "interrupted", "config": {"max_images": 5000}}, "after 640 images"),
        ({"config": {"samples": "x"}}, "samples: no such key"),
        ({"config": {"train": "perhaps"}}, "train"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(copy, capsys, changes, message):
    folder = change(copy("trained"), **changes)
    before = (folder / "record.json").read_bytes()
    assert main([str(folder)]) == 1
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {folder}: ")
    assert message in told.err
    assert told.err.count("\n") == 1
    assert "Compare" not in told.out
    assert (folder / "record.json").read_bytes() == before


def test_other_data_than_it_was_trained_on_are_refused(copy):
    folder = copy("trained")
    config = record(folder).config
    change(folder, config=config | {"data": config["data"] | {"limit": 300}})
    with pytest.raises(UsageError, match="made on other data"):
        evaluate(folder, [], "")


def test_a_record_cannot_allow_its_own_code(copy):
    folder = copy("trained")
    made = record(folder)
    made = replace(made, config=made.config | {"trust": ["tests", "os"]})
    with pytest.raises(UsageError, match=r"made with code of os: add trust=\[os\]"):
        recorded_config(made, folder, ["trust=[tests]"])
    assert recorded_config(made, folder, ["trust=[os,tests]"]).trust == ["os", "tests"]


def test_a_checkpoint_that_was_evaluated_from_elsewhere_is_found_again(copy):
    folder = copy("trained")
    made = record(folder)
    elsewhere = replace(made, config=made.config | {"train": False, "ckpt_path": "else.ckpt"})
    assert recorded_config(elsewhere, folder, []).ckpt_path == "else.ckpt"
    assert recorded_config(made, folder, []).ckpt_path == str(folder / "checkpoints/last.ckpt")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["RUN", "model.latent_dim=3"], "model.latent_dim=3: a trained run takes evaluation.*"),
        (["RUN", "evaluations=3"], "a trained run takes evaluation.*"),
        (["evaluation.samples=3"], "no run folder"),
    ],
)
def test_wrong_words_are_one_line_before_anything_is_read(sweep, capsys, words, message):
    assert main([str(sweep) if word == "RUN" else word for word in words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("evaluation.sampels=3", "evaluation.sampels: no such key; did you mean samples?"),
        ("evaluation/measurements=likelyhood", "did you mean likelihood?"),
        ("evaluation.samples=1", "evaluation.samples=1 must be a number"),
    ],
)
def test_a_wrong_override_is_told_as_run_py_tells_it(copy, capsys, word, message):
    folder = copy("trained")
    assert main([str(folder), word]) == 1
    assert message in capsys.readouterr().err


def test_folders_may_be_named_by_overrides_and_count_once(sweep, tmp_path):
    folder = tmp_path / "evaluation.seed=0"
    shutil.copytree(sweep, folder)
    runs, overrides = sort_words([str(folder), str(folder / "trained"), "evaluation.seed=1"])
    assert [run.name for run in runs] == ["evaluated", "trained"]
    assert overrides == ["evaluation.seed=1"]
