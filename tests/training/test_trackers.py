"""Loggers by name: numbers over images seen, pictures, the report; one that fails costs no run."""

import json
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec

import pytest
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.errors import UsageError
from gen_models.extras import QUIET, keep_private
from gen_models.records import Record
from gen_models.training.trackers import rewind

from ..test_configs import composed

SMALL = [
    "model=gan",
    "trainer=cpu",
    "trainer.enable_progress_bar=false",
    "max_images=256",
    "checks=2",
    "evaluation.samples=50",
    "evaluation.probe=null",
    "~evaluation/measurements",
    "+evaluation.measurements={frechet:{_target_:gen_models.evaluation.FrechetDistance}}",
]
INSTALLED = [name for name in ("tensorboard", "wandb", "mlflow") if find_spec(name)]
CALLS: list = []


def config(*overrides):
    return RunConfig(**composed(*SMALL, *overrides))


def record(folder):
    return Record.read(folder / "record.json")


def measured(folder):
    return {f"evaluation/{v.name}": v.value for v in record(folder).values if v.value is not None}


class Mine(Logger):
    """A logger that no table knows: it is told numbers alone."""

    name, version = "mine", "0"

    def __init__(self, run_name, broken=False):
        super().__init__()
        self.broken = broken
        CALLS.append(("name", run_name))

    def log_hyperparams(self, params):
        if self.broken == "at once":
            raise ConnectionError("no server\nat port 5")
        CALLS.append(("config", params))

    def log_metrics(self, metrics, step=None):
        if self.broken and any(key.startswith("evaluation/") for key in metrics):
            raise ConnectionError("the server\nis gone")
        CALLS.append((step, dict(metrics)))

    def finalize(self, status):
        CALLS.append(("end", status))


def mine(folder, *overrides, **options):
    CALLS.clear()
    logger = {"mine": {"_target_": "tests.training.test_trackers.Mine", **options}}
    made = config("logger=none", "trust=[tests]", *overrides)
    made.logger = logger
    run(made, folder, "gan", "")
    return list(CALLS)


def test_a_logger_is_told_the_configuration_the_curves_and_the_results(tmp_path):
    calls = mine(tmp_path / "sweep" / "run")
    assert calls[0] == ("name", "sweep/run")
    kind, told = calls[1]
    assert kind == "config"
    assert told["model"]["latent_dim"] == 16
    curves = [call for call in calls if isinstance(call[0], int)]
    # The axis is real images, whatever the number of optimisers; the last words are the values.
    assert [step for step, _ in curves][-1] == record(tmp_path / "sweep/run").budget.images_seen
    assert curves[-1] == (256, measured(tmp_path / "sweep/run"))
    assert calls[-1] == ("end", "success")


def test_one_that_fails_at_the_end_costs_a_warning_and_no_run(tmp_path):
    with pytest.warns(UserWarning, match="Mine did not take the results: the server is gone"):
        calls = mine(tmp_path / "run", broken=True)
    assert record(tmp_path / "run").status == "finished"
    assert json.loads((tmp_path / "run/status.json").read_text())["status"] == "finished"
    assert calls[-1] == ("end", "success")


def test_one_that_does_not_begin_is_one_line_before_training(tmp_path):
    with pytest.raises(UsageError, match=r"^Mine does not begin: no server at port 5; logger=csv"):
        mine(tmp_path / "run", broken="at once")
    assert not (tmp_path / "run/checkpoints").exists()


def test_a_run_that_failed_is_told_of_as_that(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no evaluation")

    monkeypatch.setattr("gen_models.harness.Harness.evaluate", broken)
    with pytest.raises(RuntimeError):
        mine(tmp_path / "run")
    assert CALLS[-1] == ("end", "failed")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """One run with every logger that is installed, all at once."""
    folder = tmp_path_factory.mktemp("loggers")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the packages say of their own parts
        patch.chdir(folder)
        patch.setenv("WANDB_DATA_DIR", str(folder / "wandb_data"))
        patch.setenv("WANDB_CACHE_DIR", str(folder / "wandb_cache"))
        for key, value in QUIET.items():
            patch.setenv(key, value)
        run(config(f"logger=[csv,{','.join(INSTALLED)}]"), folder / "run", "gan", "")
        yield folder


def installed(name):
    return pytest.mark.skipif(name not in INSTALLED, reason=f"the extra {name} is not installed")


def test_the_run_folder_needs_no_telling(told):
    head, *rows = (told / "run/metrics.csv").read_text().splitlines()
    assert "evaluation/" not in head
    assert rows


@installed("tensorboard")
def test_tensorboard_shows_curves_pictures_and_the_report(told):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(told / "run/tensorboard"))
    events.Reload()
    shown = events.Tags()
    for name, value in measured(told / "run").items():
        [event] = events.Scalars(name)
        assert (event.step, event.value) == (256, pytest.approx(value, rel=1e-6))
    assert [event.step for event in events.Images("samples")] == [128, 256]
    assert "evaluation/samples" in shown["images"]
    assert "hp_metric" not in shown["scalars"]
    assert any("report" in name for name in shown["tensors"])


@installed("tensorboard")
def test_tensorboard_shows_a_run_that_was_killed_and_went_on_once(tmp_path):
    """The first process got to 400 images, its checkpoint is of 200; the second gets to 300."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for process, steps in enumerate([(100, 200, 300, 400), (250, 300)]):
        logger = TensorBoardLogger(tmp_path, name="", version="")
        rewind(logger, process * 200, [])
        for step in steps:
            logger.log_metrics({"loss": step + process}, step)
        logger.experiment.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    shown = [(event.step, event.value) for event in events.Scalars("loss")]
    assert shown == [(100, 100), (200, 200), (250, 251), (300, 301)]


def entries(path, kind):
    """What wandb has written down: LevelDB's log of 32 KiB blocks, behind a head of 7 bytes."""
    data, place, parts = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        size, what = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        if left < 7 or what == 0:
            place += left
            continue
        parts += data[place + 7 : place + 7 + size]
        place += 7 + size
        if what in (1, 4):  # the whole of an entry, or its last part
            entry = kind()
            entry.ParseFromString(parts)
            yield entry
            parts = b""


@installed("wandb")
@pytest.mark.filterwarnings("ignore")
def test_wandb_keeps_everything_offline(told):
    from wandb.proto.wandb_internal_pb2 import Record as Entry

    [path] = (told / "run/wandb").glob("offline-run-*/*.wandb")
    held, logged = list(entries(path, Entry)), {}
    for entry in held:
        row = {
            "/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in entry.history.item
        }
        for key, value in row.items():
            logged.setdefault(key, []).append((row.get("trainer/global_step"), value))
    for name, value in measured(told / "run").items():
        assert logged[name] == [(256, value)]
    assert [images for images, _ in logged["samples/count"]] == [128, 256]
    [artifact] = [entry.artifact for entry in held if entry.HasField("artifact")]
    kept = {item.path for item in artifact.manifest.contents}
    assert kept == {"record.json", "report.html", "report.md"}
    assert [entry.exit.exit_code for entry in held if entry.HasField("exit")] == [0]


@installed("mlflow")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_everything_in_a_file(told):
    from mlflow import MlflowClient

    client = MlflowClient("sqlite:///mlflow.db")
    [experiment] = client.search_experiments(filter_string="name = 'gen_models'")
    [held] = client.search_runs([experiment.experiment_id])
    assert held.info.status == "FINISHED"
    for name, value in measured(told / "run").items():
        [metric] = client.get_metric_history(held.info.run_id, name)
        assert (metric.step, metric.value) == (256, value)
    kept = {item.path for item in client.list_artifacts(held.info.run_id)}
    assert {"record.json", "report.html", "report.md", "images"} <= kept
    assert held.data.params["model/latent_dim"] == "16"


JOB = """
import sys
from gen_models.training.trackers import MLflowLog
print("ready", flush=True)
sys.stdin.readline()
print(MLflowLog(experiment_name="one", tracking_uri="sqlite:///mlflow.db").run_id)
"""


@installed("mlflow")
def test_jobs_of_a_sweep_begin_one_mlflow_file_together(tmp_path):
    """Without a lock they make the same tables beside one another, and all but one fail."""
    environment = {**os.environ, **QUIET, "GEN_MODELS_CACHE": str(tmp_path / "cache")}
    command, pipe = [sys.executable, "-c", JOB], subprocess.PIPE
    options = {"stdin": pipe, "stdout": pipe, "text": True, "cwd": tmp_path, "env": environment}
    jobs = [subprocess.Popen(command, **options) for _ in range(3)]
    for job in jobs:
        assert job.stdout.readline() == "ready\n"
    for job in jobs:
        job.stdin.write("go\n")
        job.stdin.flush()
    made = {job.communicate()[0].strip() for job in jobs}
    assert [job.returncode for job in jobs] == [0, 0, 0]
    assert len(made) == 3


FLAGS = {
    "wandb": ["pytorch_lightning.loggers.wandb._WANDB_AVAILABLE"],
    "mlflow": ["pytorch_lightning.loggers.mlflow._MLFLOW_AVAILABLE"],
    "tensorboard": [
        f"lightning_fabric.loggers.tensorboard._TENSORBOARD{x}_AVAILABLE" for x in ("", "X")
    ],
}


@pytest.mark.parametrize("name", FLAGS)
def test_a_missing_package_is_one_line_that_says_which_extra(name, tmp_path, monkeypatch):
    for flag in FLAGS[name]:
        monkeypatch.setattr(flag, False)
    with pytest.raises(UsageError) as error:
        run(config(f"logger={name}"), tmp_path / "run", "gan", "")
    assert f"logger={name} is not installed" in str(error.value)
    assert str(error.value).endswith(f"pip install -e '.[{name}]'")
    assert "\n" not in str(error.value)


def test_no_package_reports_its_use_and_what_the_user_has_set_stays(monkeypatch):
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    keep_private()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["WANDB_ERROR_REPORTING"] == "false"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"


def test_choices_are_offline():
    assert composed("logger=wandb")["logger"]["wandb"]["offline"] is True
    assert composed("logger=mlflow")["logger"]["mlflow"]["tracking_uri"].startswith("sqlite:///")
    assert list(composed("logger=[csv,wandb]")["logger"]) == ["csv", "wandb"]
    assert composed("logger=none")["logger"] == {}
