"""A run that another number of threads goes on with: near what it would have been, not on it."""

import pytest
import torch

from gen_models.records import Record
from tests import kills
from tests.test_configs import composed

SHORT = (
    *("trainer=cpu", "trainer.enable_progress_bar=false", "trainer.log_every_n_steps=1"),
    *("evaluate=false", "checks=1", "evaluation/features=random"),
)
HALF, WHOLE = 64 * 25, 64 * 28  # the first epoch has 20 batches
NEAR = 1e-5
"""Of a loss, relative, in the first iterations; noise of another seed moves it by 1e-2."""


def threaded(threads, config, folder):
    torch.set_num_threads(threads)
    kills.train(config, folder)


def trained(name, folder, threads, images):
    config = composed(f"model={name}", *SHORT, f"max_images={images}", "resume=true")
    status = kills.ended(kills.start(threaded, threads, config, str(folder)))
    assert status == 0, told(folder)
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)


def told(folder):
    return folder.with_name(f"{folder.name}.txt").read_text()


def losses(stored):
    return {
        (row["images"], key): value
        for row in stored["history"]
        for key, value in row.items()
        if key.startswith("train/") and key.endswith("/loss")
    }


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_the_next_losses_are_those_of_the_run_that_never_stopped_but_for_rounding(name, tmp_path):
    one = losses(trained(name, tmp_path / "1", 1, WHOLE))
    trained(name, tmp_path / "2", 1, HALF)
    two = losses(trained(name, tmp_path / "2", 2, WHOLE))
    assert len([key for key in two if key[0] > HALF]) == 3 * (2 if name == "gan" else 1)
    assert two == pytest.approx(one, rel=NEAR)
    assert "warning: threads are 2 here and were 1 before" in told(tmp_path / "2")
    assert "threads" not in told(tmp_path / "1")
    kept = [Record.read(tmp_path / str(n) / "record.json").hardware for n in (1, 2)]
    assert [k["threads"] for k in kept] == [1, 2]
    assert [k.get("threads in training") for k in kept] == [None, "1, then 2"]
