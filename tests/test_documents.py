"""What the documentation says is run."""

import ast
import os
import re
import subprocess
import sys
import warnings

import pytest

from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.records import Record

from .conftest import REPOSITORY
from .test_configs import composed

BLOCK = re.compile(r"<!-- run by tests/test_documents.py: (\S+) -->\n```\w*\n(.*?)```", re.DOTALL)


def examples():
    """Each command of the page, with the files that stand before it."""
    found, files = [], {}
    for name, content in BLOCK.findall((REPOSITORY / "docs/adding-a-model.md").read_text()):
        if name == "command":
            found.append((files, content.split()))
            files = {}
        else:
            files[name] = content
    assert not files
    return found


def run_as_written(files, command, folder):
    """The record of a command in a folder that holds the files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert command[:3] == ["PYTHONPATH=mine", "python", "run.py"]
    words = [word.replace("mine", str(folder / "mine")) for word in command[3:]]
    done = subprocess.run(
        [sys.executable, "run.py", *words, "experiment=quick", f"hydra.run.dir={folder}/run"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(folder / "mine")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return Record.read(folder / "run/record.json")


def test_the_examples_of_a_new_family_and_of_a_new_loss_run_as_written(tmp_path):
    family, loss = examples()
    values = {v.name: v for v in run_as_written(*family, tmp_path / "family").values}
    assert values["reconstruction_mse_test_360"].value > 0
    assert (
        values["rate_nats_test"].reason
        == "Autoencoder has no bound on log p(x) (it does not satisfy BoundsLikelihood)"
    )
    record = run_as_written(*loss, tmp_path / "loss")
    assert record.status == "finished"
    assert record.config["model"]["objective"]["_target_"] == "my_losses.Smoothed"


def test_every_measurement_is_documented():
    text = (REPOSITORY / "docs/metrics.md").read_text()
    every = composed("evaluation/measurements=likelihood")
    for recipe in every["evaluation"]["measurements"].values():
        name = recipe["_target_"].rsplit(".", 1)[-1]
        assert f"`{name}`" in text


def test_the_readme_names_no_choice_that_is_not_there():
    from .test_configs import choices

    text = (REPOSITORY / "README.md").read_text()
    for group in ("model", "data", "logger"):
        for named in re.findall(rf"[\s`]{group}=([\w,]+)", text):
            assert set(named.split(",")) <= set(choices(group)), named


def python_of(page):
    return re.findall(r"```python\n(.*?)```", (REPOSITORY / page).read_text(), re.DOTALL)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder with a run in runs/mine, as the pages have it."""
    words = "experiment=quick", "evaluate=false", "trainer.enable_progress_bar=false"
    run(RunConfig(**composed("model=vae", *words)), tmp_path / "runs/mine", "vae", "")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("mine")
def test_the_python_of_the_readme_and_of_its_page_runs_as_written():
    [readme], [loaded, trained] = python_of("README.md"), python_of("docs/using.md")
    shapes = {}
    for page, code in {"README.md": readme, "docs/using.md": loaded, "training": trained}.items():
        names: dict = {}
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Lightning's advice for the bare Trainer of the example
            exec(compile(code, page, "exec"), names)
        shapes[page] = names["pixels"].shape
        assert 0 <= names["pixels"].min() <= names["pixels"].max() <= 1
    sampled = 64, 1, 16, 16
    assert shapes == {"README.md": sampled, "docs/using.md": (8, *sampled[1:]), "training": sampled}


def test_the_examples_of_the_measurements_page_run_as_written():
    from gen_models.evaluation import evaluate

    from .evaluation.models import Complete, digits, evidence

    text = (REPOSITORY / "docs/metrics.md").read_text()
    loop, mine = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    images = digits().test.images
    names = {"real_images": images, "samples": images[:50].float() / 255}
    exec(compile(loop, "docs/metrics.md", "exec"), names)
    assert names["distance"].compute() > 0
    # A class made by exec has no module to be found by, which dataclasses look for.
    names = {"__name__": __name__}
    exec(compile(mine, "docs/metrics.md", "exec"), names)
    [value] = evaluate(evidence(Complete()), [names["Shift"]()])
    assert 0 < value.floor.value < value.value


def test_every_row_of_reliability_names_a_test_that_is_there_and_when_it_was_last_run():
    text = (REPOSITORY / "docs/reliability.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    rows = [row for row in rows if not row.startswith(("| Fault |", "|---"))]
    assert rows
    for row in rows:
        fault, promise, tests, result = (cell.strip() for cell in row.strip("|").split(" | "))
        assert fault
        assert promise
        assert re.match(r"2\d{3}-\d\d-\d\d, ", result), row
        named = re.findall(r"`(tests/\S+\.py)::(\w+)`", tests)
        assert named, row
        for file, name in named:
            tree = ast.parse((REPOSITORY / file).read_text())
            there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert name in there, f"{file} has no {name}"
