"""A sweep that is told to end ends with all of its jobs, and one command goes on with it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
import torch

from gen_models.errors import Interrupted
from gen_models.sweeping import WORD, of_sweep

from .conftest import REPOSITORY

LAUNCHERS = {"basic": [], "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]}


def start(folder, *words):
    return subprocess.Popen(
        [sys.executable, "run.py", "-m", "seed=0,1,2", *words, f"hydra.sweep.dir={folder}"],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches all of a terminal's processes
    )


def statuses(folder):
    found = sorted(folder.glob("*/status.json"))
    return {path.parent.name: json.loads(path.read_text())["status"] for path in found}


def checkpoints(folder):
    return sorted(folder.glob("*/checkpoints/last.ckpt"))


@pytest.mark.parametrize(
    ("launcher", "number", "everywhere"),
    [
        ("basic", signal.SIGTERM, False),
        pytest.param("basic", signal.SIGINT, True, marks=pytest.mark.slow),
        pytest.param("joblib", signal.SIGTERM, False, marks=pytest.mark.slow),
        ("joblib", signal.SIGINT, True),
    ],
)
def test_a_signal_ends_all_jobs_and_says_how_to_go_on(launcher, number, everywhere, tmp_path):
    """To the sweep's own process, as `kill` does; to all, as Ctrl-C and a cluster may."""
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    folder, beside = tmp_path / "sweep", 2 if launcher == "joblib" else 1
    words = ["experiment=quick", "trainer=cpu", "evaluate=false", *LAUNCHERS[launcher]]
    process = start(folder, *words, "max_images=100_000_000", "checks=100_000")
    try:
        deadline = time.monotonic() + 300
        while len(checkpoints(folder)) < beside:
            assert time.monotonic() < deadline, process.communicate()
            assert process.poll() is None, process.communicate()
            time.sleep(0.2)
        (os.killpg if everywhere else os.kill)(process.pid, number)
        output, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + number, errors
    assert list(statuses(folder).values()) == ["interrupted"] * beside
    for path in checkpoints(folder):
        told = json.loads((path.parents[1] / "record.json").read_text())
        stored = torch.load(path, weights_only=True)
        assert stored["images_seen"] == told["budget"]["images_seen"] > 0
    [line] = [line for line in output.splitlines() if "hydra.sweep.dir" in line]
    assert line.startswith("Go on with: python run.py -m seed=0,1,2 experiment=quick ")
    assert shlex.split(line)[-2:] == [f"hydra.sweep.dir={folder}", "resume=true"]


def test_a_job_does_not_begin_where_the_sweep_was_told_to_end(tmp_path):
    begun = []
    of_sweep(tmp_path, lambda: begun.append(1))
    (tmp_path / WORD).write_text("15")
    of_sweep(tmp_path, lambda: begun.append(2))
    assert begun == [1]


def test_a_signal_to_one_job_is_an_error_of_that_job(tmp_path):
    def ended():
        raise SystemExit(143)

    def failed():
        raise SystemExit(2)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with pytest.raises(Interrupted, match="SIGTERM"):
            of_sweep(tmp_path, ended)
        with pytest.raises(SystemExit):
            of_sweep(tmp_path, failed)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
