"""Sweeps whose jobs run beside one another end in a comparison, as those in a row do."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from gen_models.records import Record

from .conftest import REPOSITORY

PLUGINS = {
    "joblib": ("sweep", "hydra_joblib_launcher", ["hydra.launcher.n_jobs=2"]),
    "submitit_local": ("slurm", "hydra_submitit_launcher", ["hydra.launcher.timeout_min=10"]),
    "ray": ("ray", "hydra_ray_launcher", ["+hydra.launcher.ray.init.num_cpus=2"]),
}


def launcher(name):
    extra, plugin, _ = PLUGINS[name]
    found = find_spec("hydra_plugins") and find_spec(f"hydra_plugins.{plugin}")
    reason = f"the extra {extra} is not installed"
    slow = [pytest.mark.slow] if name != "joblib" else []
    return pytest.param(name, marks=[pytest.mark.skipif(not found, reason=reason), *slow])


@pytest.mark.parametrize("name", [launcher(name) for name in PLUGINS])
def test_jobs_beside_one_another_end_in_one_comparison(name, tmp_path):
    """A package of one's own, one feature store for all, and a job that fails."""
    words = [
        "hydra.searchpath=[pkg://outside.conf]",
        "model=energy",
        "data=stripes",
        "trust=[outside]",
        "seed=0,1",
        "model.latent_dim=4,0",
        f"hydra/launcher={name}",
        *PLUGINS[name][2],
        "checks=1",
        "trainer=cpu",
        "max_images=256",
        "evaluation.samples=50",
        "evaluation.probe=null",
        "~evaluation/measurements",
        "+evaluation.measurements={frechet:{_target_:gen_models.evaluation.FrechetDistance}}",
        f"hydra.sweep.dir={tmp_path}/sweep",
    ]
    outside = f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests/outside_package'}"
    store = {"GEN_MODELS_CACHE": str(tmp_path / "store"), "PYTHONPATH": outside}
    done = subprocess.run(
        [sys.executable, "run.py", "-m", *words],
        cwd=REPOSITORY,
        env={**os.environ, **store},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode != 0, done.stderr
    assert "latent_dim must be 1 or more" in done.stdout + done.stderr
    statuses = {
        path.parent.name: json.loads(path.read_text())["status"]
        for path in (tmp_path / "sweep").glob("*/status.json")
    }
    assert sorted(statuses.values()) == ["failed", "failed", "finished", "finished"]
    finished = [tmp_path / "sweep" / job for job, how in statuses.items() if how == "finished"]
    records = [Record.read(folder / "record.json") for folder in finished]
    assert {record.seed for record in records} == {0, 1}
    # Both have read or written the one store: what is known of real images is the same.
    one, two = ([(v.name, v.floor, v.ceiling) for v in record.values] for record in records)
    assert one == two
    assert list((tmp_path / "store").glob("*.safetensors"))
    assert f"{tmp_path}/sweep/report.html" in done.stdout
    text = (tmp_path / "sweep/report.md").read_text()
    assert "latent_dim must be 1 or more" in text
