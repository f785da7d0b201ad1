"""What differs between configurations, and commands that make runs again."""

import json
import shlex
from dataclasses import replace

import pytest

from gen_models.records import Measured
from gen_models.reporting.comparison import write_comparison
from gen_models.reporting.origins import WIDTH, again, differences, origins

LATER = Measured(
    "2026-03-04T05:06:07+00:00",
    "python -m gen_models.evaluate 'runs of mine'",
    {"torch": "2.16.0"},
    "def456",
)


@pytest.fixture
def commands(record):
    """The commands that make runs of these commands and seeds again."""

    def make(*runs):
        return again([record(seed=seed, command=command) for command, seed in runs])

    return make


def test_runs_that_differ_in_the_seed_become_one_sweep(commands):
    first = "python run.py model=vae seed=1 data=mnist"
    assert commands((first, 1)) == ("python run.py model=vae data=mnist seed=1",)
    assert commands(
        (first, 1),
        ("python run.py model=vae seed=0 data=mnist", 0),
        ("python run.py model=vae data=mnist seed=2", 2),
        ("python run.py model=vae seed=2 data=mnist checks=1", 2),
    ) == (
        "python run.py -m model=vae data=mnist seed=0,1,2",
        "python run.py model=vae data=mnist checks=1 seed=2",
    )


def test_a_seed_by_default_is_said_and_a_repeated_one_said_once(commands):
    runs = [("python run.py", 0), ("python run.py seed=1", 1), ("python run.py seed=1", 1)]
    assert commands(*runs) == ("python run.py -m seed=0,1",)
    # A seed of the data is another matter.
    assert commands(("python run.py data.seed=3", 0)) == ("python run.py data.seed=3 seed=0",)


def test_words_reach_hydra_as_it_had_them(commands):
    """run.py records its words quoted for a shell."""
    asked = ["evaluation/features=[random,components]", "name='a  b'", "+model.part={size: 3}"]
    recorded = [(shlex.join(["python", "run.py", *asked, f"seed={seed}"]), seed) for seed in (0, 1)]
    (told,) = commands(*recorded)
    assert shlex.split(told) == ["python", "run.py", "-m", *asked, "seed=0,1"]
    assert commands(recorded[0]) == (recorded[0][0],)


def test_a_run_that_was_gone_on_with_is_made_again_from_its_start(commands):
    words = ("resume=true", "hydra.run.dir=runs/a", "ckpt_path=last", "hydra.sweep.dir=runs/b")
    runs = [
        (f"python run.py model=vae {word} seed={seed}", seed) for seed, word in enumerate(words)
    ]
    assert commands(*runs) == ("python run.py -m model=vae seed=0,1,2,3",)
    start = "python run.py ckpt_path=pre/last.ckpt seed=0"
    assert commands((start, 0)) == (start,)


@pytest.mark.parametrize(
    "command", ["python -m gen_models.evaluate --samples a", "python run.py 'x", "mine 'a b' c"]
)
def test_what_is_no_run_stays_as_it_is(commands, command):
    assert commands((command, 0), (command, 1)) == (command,)
    assert commands((f"{command}\n rm", 0)) == (f"{command} rm",)


def test_a_command_is_told_on_one_line(commands):
    assert commands(("python run.py\n 'name=a\nrm'", 0)) == ("python run.py 'name=a rm'",)


def test_measuring_again_follows_training(record):
    runs = [replace(record(seed=seed), measured=LATER) for seed in (0, 1)]
    assert again(runs) == ("python run.py -m model=vae seed=0,1", LATER.command)


def test_only_what_differs_is_shown_and_in_full_in_the_numbers(tmp_path, run, record, groups):
    long = "w" * 3 * WIDTH
    vae = {"_target_": "gen_models.models.VAE", "_partial_": True, "beta": 4.0, "note": long}
    gan = {"_target_": "gen_models.models.GAN", "latent": 8}
    shared = {"latent_dim": 16, "data": {"root": "/data"}}
    made = [
        record("vae", 0, config={"model": vae, "seed": 0, **shared}),
        record("vae", 1, config={"model": vae, "seed": 1, **shared}),
        record("gan", 0, config={"model": gan, "seed": 0, **shared, "data": {"root": "/else"}}),
    ]
    table = origins(groups(*made)).configurations
    shown = {row.head.text: [cell.text for cell in row.cells] for row in table.rows}
    assert shown == {
        "model._target_": ["VAE", "GAN"],
        "model.beta": ["4.0", "absent"],
        "model.latent": ["absent", "8"],
        "model.note": ["w" * (WIDTH - 3) + "...", "absent"],
    }
    assert [column.text for column in table.columns] == ["Key", "vae", "gan"]
    for one in made:
        run(one)
    write_comparison(tmp_path, sorted((tmp_path / "sweep").iterdir()))
    (told,) = json.loads((tmp_path / "report.json").read_text())["differences"]
    assert told == differences(groups(*made))
    assert told["model.note"] == {"vae": json.dumps(long), "gan": "absent"}
    assert told["model._target_"]["gan"] == '"gen_models.models.GAN"'


def test_what_is_alike_is_a_line_and_what_is_not_a_row(record, groups):
    made = origins(
        groups(
            record("vae", 0, versions={"torch": "2.15.0", "numpy": "2.0"}),
            record("vae", 3, versions={"torch": "2.16.0", "numpy": "2.0"}, status="failed"),
            record("gan", 1, versions={"numpy": "2.0"}, hardware={"device": "H100", "cores": 2}),
        )
    )
    rows = {row.head.text: [cell.text for cell in row.cells] for row in made.apart.rows}
    assert rows == {
        "Seeds": ["0, 3", "1"],
        "Versions: torch": ["2.15.0 / 2.16.0", "none"],
        "Hardware: device": ["cpu", "H100"],
        "Hardware: processor": ["some processor", "none"],
    }
    assert made.alike == (
        "Commit of all runs: abc123.",
        "Versions of all runs: numpy 2.0.",
        "Hardware of all runs: cores 2.",
    )


def test_a_later_measurement_says_when_and_by_what(tmp_path, run, record, groups):
    versions = {"numpy": "2.0", "torch": "2.15.0"}
    later = replace(LATER, versions={"numpy": "2.0", "torch": "2.16.0"})
    made = [record("vae", 0, measured=later, versions=versions), record("gan", 0)]
    rows = {row.head.text: row.cells for row in origins(groups(*made)).apart.rows}
    assert [cell.text for cell in rows["Measured again"]] == [
        "2026-03-04, commit def456, torch 2.16.0",
        "none",
    ]
    for one in made:
        run(one)
    page = write_comparison(tmp_path, sorted((tmp_path / "sweep").iterdir()))
    told = json.loads((tmp_path / "report.json").read_text())["runs"]
    expected = {"created": LATER.created, "commit": "def456", "versions": later.versions}
    assert [one["measured"] for one in told] == [expected, None]
    for text in (page.read_text(), (tmp_path / "report.md").read_text()):
        assert "Measured again" in text
        assert "python -m gen_models.evaluate" in text


def test_one_configuration_has_no_table_of_differences(tmp_path, run, record):
    run(record("vae", 0))
    run(record("vae", 1))
    page = write_comparison(tmp_path, sorted((tmp_path / "sweep").iterdir())).read_text()
    assert "What differs between the configurations" not in page
    assert "python run.py -m model=vae seed=0,1" in page
