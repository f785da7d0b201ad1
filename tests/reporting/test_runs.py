"""Run folders: found in the order people count in, and readable or told why not."""

import json
import platform

import pytest

from gen_models.reporting.runs import Unreadable, find_runs, read_run


def test_runs_are_found_and_sorted_as_people_count(tmp_path, record):
    for name in ("10", "2", "a/1"):
        (tmp_path / name).mkdir(parents=True)
        record().write(tmp_path / name / "record.json")
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "status.json").write_text("{")
    (tmp_path / "empty").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in find_runs(tmp_path)]
    assert found == ["2", "3", "10", "a/1"]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (
            '{"status": "failed", "reason": "out of memory"}',
            "; status.json says failed (out of memory)",
        ),
        ('{"status": "failed", "reason": null}', "; status.json says failed"),
        ('{"status": "failed", "reason": ["none"]}', "; status.json says failed"),
        ('{"status": "fai', ""),
        ("[]", ""),
        ("null", ""),
        ("[" * 100_000, ""),
        ('{"status": ' * 100_000, ""),
        (None, ""),
    ],
)
def test_a_run_without_a_record_is_told_by_its_status(tmp_path, status, told):
    if status:
        (tmp_path / "status.json").write_text(status)
    assert read_run(tmp_path) == Unreadable(tmp_path, f"no record.json{told}")


EVIL = "\x1b[2J\x1b]0;title\x07\r\n\u202e\ud800"


@pytest.mark.parametrize(
    "told",
    [
        {"status": EVIL},
        {"status": "failed", "reason": EVIL},
        {"status": "running", "host": EVIL},
        {"status": "running", "host": EVIL, "go_on": EVIL},
        {"status": "running", "host": platform.node(), "go_on": EVIL},
    ],
)
def test_the_texts_of_a_status_are_shown_and_not_obeyed(tmp_path, told):
    (tmp_path / "status.json").write_text(json.dumps(told))
    problem = read_run(tmp_path).problem
    assert problem.isprintable()
    assert r"\x1b[2J\x1b]0;title\x07\r\n\u202e\ud800" in problem


def test_a_long_command_is_told_in_full(tmp_path):
    command = "python run.py hydra.run.dir=" + "a/" * 1000 + " resume=true"
    told = {"status": "running", "host": platform.node(), "go_on": command}
    (tmp_path / "status.json").write_text(json.dumps(told))
    assert read_run(tmp_path).problem.endswith(f"go on with: {command}")
