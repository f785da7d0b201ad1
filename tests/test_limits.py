"""Runs that something else than their budget ends: they say so, and go on without it."""

import json

import pytest
import torch

from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.records import Record

from .test_configs import composed

QUICK = ["experiment=quick", "trainer=cpu", "trainer.enable_progress_bar=false", "evaluate=false"]
STOP = "+callbacks.stop={_target_:pytorch_lightning.callbacks.EarlyStopping,stopping_threshold:0"
MONITOR = "validation/discriminator/loss"


def go(folder, *words):
    run(RunConfig(**composed(*QUICK, *words)), folder, "vae", "python run.py")
    return Record.read(folder / "record.json")


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (["trainer.max_epochs=0"], "trainer.max_epochs=0"),
        (["+trainer.max_time=00:00:00:01", "max_images=9_000_000"], "trainer.max_time=00:00:00:01"),
        # Every loss of a discriminator is above 0.
        (
            [f"{STOP},mode:max,monitor:{MONITOR}}}", "model=gan", "checks=3"],
            "EarlyStopping of callbacks",
        ),
    ],
)
def test_the_record_names_the_limit(words, limit, tmp_path):
    made = go(tmp_path / "run", *words)
    seen, budget = made.budget.images_seen, made.config["max_images"]
    assert seen < budget
    assert made.status == "finished"
    assert made.reason == f"stopped at {seen} of {budget} images by {limit}"
    assert json.loads((tmp_path / "run/status.json").read_text())["reason"] == made.reason
    assert made.reason in (tmp_path / "run/report.md").read_text()


def test_a_model_that_needs_less_has_met_no_limit(tmp_path):
    made = go(tmp_path / "run", "model=ppca", "model.latent_dim=4", "trainer.max_epochs=9")
    assert made.budget.images_seen < made.config["max_images"]
    assert made.reason is None


def test_a_run_goes_on_without_its_limit_to_the_bits_of_one_that_had_none(tmp_path, capsys):
    whole = go(tmp_path / "whole", "max_images=4000")
    cut = go(tmp_path / "run", "max_images=4000", "trainer.max_epochs=1")
    again = go(tmp_path / "run", "max_images=4000", "trainer.max_epochs=1", "resume=true")
    assert cut == again
    assert f"is finished, {cut.reason}: go on by raising that limit\n" in capsys.readouterr().out
    legs = go(tmp_path / "run", "max_images=4000", "resume=true")
    assert cut.budget.images_seen < 1300 < legs.budget.images_seen == whole.budget.images_seen
    assert legs.reason is None
    one, two = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "run")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)
