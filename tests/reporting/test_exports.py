"""report.csv and report.json: the numbers of the records, and every run with its end."""

import csv
import json
from pathlib import Path
from statistics import fmean

import pytest

from gen_models.records import Anchor
from gen_models.reporting import exports
from gen_models.reporting.estimates import over_seeds
from gen_models.reporting.exports import FIELDS
from gen_models.reporting.report import find_runs, write_comparison

NAME = "fid_digits64_1000_test"
NUMBERS = ("section", "mean", "low", "high", "seeds", "count", "floor", "ceiling")


@pytest.fixture
def exported(tmp_path):
    """Compare all runs of the sweep: rows of the CSV as `csv` reads them, and the JSON."""

    def compare():
        folder = tmp_path / "sweep"
        write_comparison(folder, find_runs(folder))
        with (folder / "report.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        return rows, json.loads((folder / "report.json").read_text(encoding="utf-8"))

    return compare


def row_of(rows, model, name=NAME):
    (found,) = (row for row in rows if (row["model"], row["name"]) == (model, name))
    return found


def test_a_lone_run_is_its_record(run, record, value, exported):
    given = value(1.23456789, aspect="distance", extractor="digits64")
    run(record("vae", 0, given))
    rows, told = exported()
    assert told["rows"] == [
        {
            "section": 1,
            "data": "digits",
            "model": "vae",
            "name": NAME,
            "title": given.title,
            "aspect": "distance",
            "extractor": "digits64",
            "unit": given.unit,
            "better": "lower",
            "mean": given.value,
            "low": given.low,
            "high": given.high,
            "interval": given.interval,
            "seeds": 1,
            "count": 1000,
            "floor": 0.4,
            "ceiling": 99.0,
            "reason": None,
            "protocol": given.protocol,
        }
    ]
    assert float(rows[0]["mean"]) == given.value


def test_seeds_are_averaged_with_students_interval(run, record, value, exported):
    numbers, floors = (3.1, 4.3, 6.7), (0.1, 0.2, 0.4)
    for seed, (x, floor) in enumerate(zip(numbers, floors, strict=True)):
        run(record("vae", seed, value(x, floor=Anchor(floor, "real"))))
    run(record("vae", 3, value(None)))
    rows, _ = exported()
    row, expected = row_of(rows, "vae"), over_seeds(numbers)
    assert [float(row[key]) for key in ("mean", "low", "high")] == [
        expected.value,
        expected.low,
        expected.high,
    ]
    assert row["interval"] == "95 %, Student's t, over 3 seeds"
    assert (row["seeds"], row["reason"]) == ("3", "")
    assert float(row["floor"]) == fmean(floors)
    assert row["ceiling"] == "99.0"


def test_what_is_said_of_a_mean_is_of_those_that_have_the_number(run, record, value, exported):
    run(record("vae", 0, value(None, count=7, title="Other")))
    run(record("vae", 1, value(9.0, count=500)))
    for seed in (2, 3):
        run(record("vae", seed, value(1.0)))
    rows, _ = exported()
    row = row_of(rows, "vae")
    assert (row["title"], row["count"], row["seeds"]) == ("Frechet distance", "1000", "2")
    assert float(row["mean"]) == 1.0


def test_the_csv_says_what_the_json_says(run, record, value, exported):
    hostile = 'a, "b"\nc; é|='
    run(record("vae", 0, value(1.5, title=hostile), value(-2.0, "rate", better=None)))
    run(record("gan", 0, value(None, reason=hostile)))
    run(record("ppca", 0, data=hostile, data_fingerprint="ffff"))
    rows, told = exported()
    assert len(rows) == 5
    assert tuple(rows[0]) == FIELDS == tuple(told["rows"][0])
    for row, other in zip(rows, told["rows"], strict=True):
        for key, mine in row.items():
            assert mine == ("" if other[key] is None else str(other[key]))
            assert isinstance(other[key], int | float | None if key in NUMBERS else str | None)
    assert [row["section"] for row in rows] == ["1"] * 4 + ["2"]
    assert row_of(rows, "vae")["title"] == hostile


def test_no_number_has_its_reason(run, record, value, exported):
    run(record("vae", 0, value(1.0), value(2.0, "rate")))
    run(record("gan", 0, value(None, reason="no encoder")))
    run(record("ppca", 0, status="diverged", reason="loss is NaN"))
    rows, told = exported()
    assert row_of(rows, "gan")["reason"] == "no encoder"
    assert row_of(rows, "gan", "rate")["reason"] == "not measured"
    assert row_of(rows, "ppca")["reason"] == "no finished run (1 did not finish)"
    for row in told["rows"]:
        assert (row["mean"] is None) == (row["reason"] is not None) == (row["seeds"] == 0)
    # Nothing of the failed run is a number of the model.
    assert row_of(told["rows"], "ppca")["floor"] is None


def test_every_run_is_listed_with_its_end(tmp_path, run, record, value, exported):
    run(record("vae", 0))
    run(record("vae", 0, created="2026-02-02T00:00:00+00:00"))
    run(record("gan", 3, status="failed", reason="out of memory", commit=None))
    half = tmp_path / "sweep" / "9"
    half.mkdir()
    (half / "record.json").write_text("{")
    _, told = exported()
    ends = [(r["folder"], r["model"], r["seed"], r["status"], r["averaged"]) for r in told["runs"]]
    assert ends == [
        ("0", "vae", 0, "finished", False),
        ("1", "vae", 0, "finished", True),
        ("2", "gan", 3, "failed", False),
        ("9", None, None, "unreadable", False),
    ]
    assert told["runs"][2]["reason"] == "out of memory"
    assert told["runs"][3]["reason"].startswith("record.json: not whole JSON")
    assert [r["commit"] for r in told["runs"]] == ["abc123", "abc123", None, None]
    assert told["runs"][0]["versions"] == {"torch": "2.15.0"}
    for file in ("report.csv", "report.json"):
        assert str(tmp_path) not in (tmp_path / "sweep" / file).read_text()


def test_a_run_in_the_working_directory_has_its_name(run, record, monkeypatch):
    folder = run(record())
    monkeypatch.chdir(folder)
    write_comparison(folder, find_runs(Path()))
    told = json.loads((folder / "report.json").read_text())
    assert [r["folder"] for r in told["runs"]] == ["0"]


def test_variants_of_a_model_keep_their_labels(run, record, exported):
    config = {"model": {"name": "vae", "beta": 1.0}}
    run(record("vae", 0, config=config))
    run(record("vae", 0, config={"model": {"name": "vae", "beta": 4.0}}))
    _, told = exported()
    labels = ["vae (beta=1.0)", "vae (beta=4.0)"]
    assert [row["model"] for row in told["rows"]] == labels
    assert [r["model"] for r in told["runs"]] == labels


def test_every_key_is_documented(run, record, exported):
    run(record())
    _, told = exported()
    for key in (*told, *told["rows"][0], *told["runs"][0]):
        assert f"`{key}`" in exports.__doc__


def test_the_files_are_whole_or_absent(tmp_path, run, record, exported, monkeypatch):
    run(record())
    exported()
    before = (tmp_path / "sweep" / "report.csv").read_bytes()
    run(record("gan"))
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        exported()
    assert (tmp_path / "sweep" / "report.csv").read_bytes() == before
    assert not list((tmp_path / "sweep").glob(".*"))
