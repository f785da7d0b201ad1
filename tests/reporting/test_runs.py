"""Run folders: found in the order people count in, and readable or told why not."""

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
