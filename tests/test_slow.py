"""Families trained for real: `pytest -m slow`."""

import pytest

from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.records import Record

from .test_configs import choices, composed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", choices("model"))
def test_every_family_leaves_the_ceiling_far_behind_and_stays_above_the_floor(name, tmp_path):
    config = composed(f"model={name}", "max_images=60_000", "trainer.enable_progress_bar=false")
    run(RunConfig(**config), tmp_path / "run", name, "")
    record = Record.read(tmp_path / "run/record.json")
    values = {value.name: value for value in record.values}
    distance = values["fid_digits64_1293_test"]
    assert distance.floor.value < distance.value < 0.35 * distance.ceiling.value
    classes = values["class_kl_nats_digits64_1293_test"]
    assert classes.value < 0.25 * classes.ceiling.value
    inversion = values["inversion_mse_test_64"]
    assert inversion.value < 0.5 * inversion.ceiling.value
    assert record.status == "finished"
