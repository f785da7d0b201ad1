"""`python -m gen_models.report`, on the records that are committed."""

import shutil

from gen_models.report import main

from .conftest import REPOSITORY


def test_runs_from_different_places_enter_one_report(tmp_path, capsys):
    records = sorted((REPOSITORY / "benchmarks/quality/digits").glob("*.json"))
    assert len(records) == 6
    for index, record in enumerate(records):
        folder = tmp_path / ("here" if index < 3 else "there") / record.stem
        folder.mkdir(parents=True)
        shutil.copy(record, folder / "record.json")
    out = tmp_path / "out"
    assert main([str(tmp_path / "here"), str(tmp_path / "there"), "--out", str(out)]) == 0
    assert str(out / "report.html") in capsys.readouterr().out
    text = (out / "report.md").read_text()
    assert "3 of 3 runs finished" in text
    assert "fid_digits64_1293_test" in text


def test_no_run_is_said_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: no run folder")
    assert told.count("\n") == 1
