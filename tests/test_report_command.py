"""`python -m gen_models.report`, on the records that are committed."""

import shutil

from gen_models.report import main

from .conftest import REPOSITORY


def test_runs_from_different_places_enter_one_report(tmp_path, capsys):
    runs = sorted((REPOSITORY / "benchmarks/quality/digits").glob("*-seed*"))
    assert len(runs) == 10
    for index, run in enumerate(runs):
        folder = tmp_path / ("here" if index < 5 else "there") / run.name
        folder.mkdir(parents=True)
        shutil.copy(run / "record.json", folder)
    out = tmp_path / "out"
    assert main([str(tmp_path / "here"), str(tmp_path / "there"), "--out", str(out)]) == 0
    assert str(out / "report.html") in capsys.readouterr().out
    text = (out / "report.md").read_text()
    assert "5 of 5 runs finished" in text
    assert "fid_digits64_1293_test" in text


def test_a_run_that_is_named_twice_counts_once(tmp_path, capsys):
    runs = REPOSITORY / "benchmarks/quality/digits"
    twice = [str(runs), str(runs / "0-vae-seed0"), str(runs / ".." / "digits")]
    assert main([*twice, "--out", str(tmp_path)]) == 0
    assert "Comparison of 10 runs" in capsys.readouterr().out
    assert "run again later" not in (tmp_path / "report.md").read_text()


def test_no_run_is_said_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: no run folder")
    assert told.count("\n") == 1


def test_a_place_without_a_run_is_named_though_others_have_some(tmp_path, capsys):
    run = str(REPOSITORY / "benchmarks/quality/digits/0-vae-seed0")
    mistyped, out = str(tmp_path / "gam"), tmp_path / "out"
    assert main([run, mistyped, "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert told == f"error: no run folder (with a record.json) in {mistyped}\n"
    assert not out.exists()


def test_a_record_stands_for_its_folder(tmp_path, capsys):
    runs = REPOSITORY / "benchmarks/quality/digits"
    named = [str(runs / "0-vae-seed0"), str(runs / "1-vae-seed1/record.json")]
    assert main([*named, "--out", str(tmp_path)]) == 0
    assert "Comparison of 2 runs" in capsys.readouterr().out


def test_the_report_of_a_run_is_not_written_over(tmp_path, capsys):
    (tmp_path / "record.json").write_text("{}")
    (tmp_path / "report.html").write_text("its own")
    assert main([str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "is a run and has a report of its own: give --out DIR" in capsys.readouterr().err
    assert (tmp_path / "report.html").read_text() == "its own"
