"""Whole runs by two processes: one folder, the numbers of one process, gone on with by another."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import pytorch_lightning as pl
import torch

from gen_models import launching, processes
from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.errors import UsageError
from gen_models.records import Record

from .conftest import REPOSITORY
from .exactness import differences
from .test_configs import composed

SMALL = ["experiment=quick", "trainer=cpu", "trainer.enable_progress_bar=false", "model=gan"]
SMALL += ["evaluation/measurements=distances", "evaluation.measurements.inversion=null"]
IMAGES = 512


def config(*overrides, devices=1):
    more = f"trainer.devices={devices}", f"max_images={IMAGES}", "trainer.log_every_n_steps=4"
    return RunConfig(**composed(*SMALL, *more, *overrides))


def by_two(folder, *overrides):
    run(config(*overrides, devices=2), folder, "gan", "python run.py")


def curve(folder):
    """Training losses of a record, by name and images."""
    found = Record.read(folder / "record.json").curves
    return {
        (each.name, images): value
        for each in found
        for images, value in zip(each.images, each.values, strict=True)
        if each.name.startswith("train/")
    }


@pytest.fixture(autouse=True, scope="module")
def _threads():
    """As many in the one process as in each of the two: sums round by how they are shared out."""
    before = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A run by one process, and one by two."""
    base = tmp_path_factory.mktemp("runs")
    run(config("evaluate=false"), base / "one", "gan", "python run.py")
    by_two(base / "two")
    return base


def test_two_processes_leave_one_run(folders):
    names = {str(p.relative_to(folders / "two")) for p in (folders / "two").rglob("*")}
    assert {"record.json", "report.html", "metrics.csv", "checkpoints/last.ckpt"} <= names
    assert {p.name for p in folders.iterdir()} == {"one", "two"}
    one, two = (Record.read(folders / name / "record.json") for name in ("one", "two"))
    assert (one.hardware.get("processes"), two.hardware["processes"]) == (None, 2)
    assert json.loads((folders / "two/status.json").read_text())["status"] == "finished"
    assert replace(two.budget, training_seconds=0, evaluation_seconds=0) == replace(
        one.budget, training_seconds=0, evaluation_seconds=0
    )


def test_their_losses_are_those_of_one(folders):
    """In float32, over 8 steps: rounding grows, and stays below a thousandth."""
    one, two = curve(folders / "one"), curve(folders / "two")
    assert len(one) == 6 * 2
    assert two == pytest.approx(one, rel=1e-3)


def test_their_measurements_are_those_of_one_process_to_the_bit(folders):
    """The same weights, measured again by one."""
    last = folders / "two/checkpoints/last.ckpt"
    again = folders / "again"
    run(config("train=false", f"ckpt_path={last}"), again, "gan", "")
    values = Record.read(again / "record.json").values
    assert sum(value.value is not None for value in values) > 5
    assert values == Record.read(folders / "two/record.json").values


def test_one_process_goes_on_where_two_stopped_and_two_where_one_did(folders):
    last = {name: folders / name / "checkpoints/last.ckpt" for name in ("one", "two")}
    more = f"max_images={2 * IMAGES}", "evaluate=false"
    run(config(*more), folders / "whole", "gan", "")
    run(config(*more, f"ckpt_path={last['two']}"), folders / "two_one", "gan", "")
    by_two(folders / "one_two", *more, f"ckpt_path={last['one']}")
    whole = curve(folders / "whole")
    assert len(whole) == 6 * 4
    for name in ("two_one", "one_two"):
        assert curve(folders / name) == pytest.approx(whole, rel=1e-2)


@pytest.mark.slow
def test_two_processes_take_up_their_own_run_to_the_bit(tmp_path):
    """By `resume=true`, in the folder of the first leg, within an epoch."""
    more = f"max_images={2 * IMAGES}", "evaluate=false"
    by_two(tmp_path / "whole", *more)
    by_two(tmp_path / "legs", "evaluate=false")
    by_two(tmp_path / "legs", *more, "resume=true")
    whole, legs = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)
        for name in ("whole", "legs")
    )
    for key in ("state_dict", "optimizer_states", "noise", "iterations"):
        assert differences(whole[key], legs[key]) == [], key
    assert curve(tmp_path / "legs") == curve(tmp_path / "whole")


def when_it_has_saved(folder, do):
    """Does something to the processes of a run once it has a checkpoint."""

    def wait():
        while not (folder / "checkpoints/last.ckpt").exists():
            time.sleep(0.05)
        do(sorted(multiprocessing.active_children(), key=lambda process: process.pid))

    threading.Thread(target=wait).start()


LONG = "max_images=400_000", "checks=400", "evaluate=false"


@pytest.mark.parametrize("which", [0, 1])
def test_a_signal_to_one_process_ends_both_after_the_same_step(tmp_path, which):
    folder = tmp_path / "run"
    when_it_has_saved(folder, lambda both: os.kill(both[which].pid, signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        by_two(folder, *LONG)
    assert ended.value.code == 128 + signal.SIGTERM
    record = Record.read(folder / "record.json")
    assert (record.status, record.reason) == ("interrupted", "SIGTERM; not evaluated")
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert last["images_seen"] == record.budget.images_seen < 400_000


def test_the_death_of_one_process_ends_the_other_and_is_told(tmp_path):
    folder = tmp_path / "run"
    when_it_has_saved(folder, lambda both: os.kill(both[1].pid, signal.SIGKILL))
    with pytest.raises(launching.Failed, match="terminated with signal SIGKILL"):
        by_two(folder, *LONG)
    assert json.loads((folder / "status.json").read_text())["status"] == "failed"
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["images_seen"]


class FullDisk(pl.Callback):
    """Takes nothing from the second process."""

    def on_train_batch_end(self, *_):
        if not processes.first():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "images")


def test_a_disk_that_fills_for_one_process_is_one_line_and_the_run_is_failed(tmp_path):
    full = "+callbacks.full._target_=tests.test_run_on_devices.FullDisk", "trust=[tests]"
    with pytest.raises(UsageError, match="cannot write images: No space left on device"):
        by_two(tmp_path / "run", *full)
    assert json.loads((tmp_path / "run/status.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer=ddp", "trainer.strategy=fsdp"], "choices are auto, ddp"),
        (["trainer=ddp", "trainer.devices=lots"], "should be an int"),
    ],
)
def test_other_ways_are_refused_in_one_line(tmp_path, overrides, message):
    with pytest.raises(UsageError, match=message):
        run(config(*overrides), tmp_path / "run", "gan", "")


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    with pytest.raises(UsageError, match="make it a multiple of their number"):
        by_two(tmp_path / "run", "data.batch_size=63")
    assert json.loads((tmp_path / "run/status.json").read_text())["status"] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("way", ["alone", "torchrun", "sweep"])
def test_on_the_command_line(tmp_path, way):
    """Started by itself, by torchrun, and as the jobs of a sweep: one folder a run each time."""
    start = {
        "alone": [sys.executable],
        "torchrun": [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"],
        "sweep": [sys.executable],
    }[way]
    words = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "evaluate=false"]
    place = {"sweep": ["-m", "seed=0,1", f"hydra.sweep.dir={tmp_path}/runs"]}.get(
        way, [f"hydra.run.dir={tmp_path}/runs/0"]
    )
    done = subprocess.run(
        [*start, str(REPOSITORY / "run.py"), *place, "experiment=quick", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    records = sorted(tmp_path.rglob("record.json"))
    assert len(records) == 1 + (way == "sweep")
    assert {p.name for p in tmp_path.iterdir()} == {"runs"}
    assert all(Record.read(path).status == "finished" for path in records)
