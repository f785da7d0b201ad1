"""The end of a sweep and the terminal: one line each, and never an error of their own."""

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from gen_models.reporting.sweep import SweepReport, compare
from gen_models.reporting.terminal import print_table

SCRIPT = """
import hydra
from omegaconf import DictConfig
@hydra.main(version_base=None, config_path=None, config_name=None)
def main(cfg: DictConfig) -> None:
    import shutil
    from hydra.core.hydra_config import HydraConfig
    out = HydraConfig.get().runtime.output_dir
    shutil.copytree({source!r}, out, dirs_exist_ok=True)
    if cfg.seed == 1:
        raise RuntimeError("seed 1 is broken")
main()
"""


def config(folder):
    return SimpleNamespace(hydra=SimpleNamespace(sweep=SimpleNamespace(dir=str(folder))))


def test_the_callback_writes_the_comparison_and_says_where(tmp_path, run, record, capsys):
    run(record("vae"))
    run(record("gan"))
    callback = SweepReport()
    callback.on_multirun_start(config(tmp_path))
    callback.on_multirun_end(config(tmp_path), config_name="config")
    assert capsys.readouterr().out == f"Comparison of 2 runs: {tmp_path / 'report.html'}\n"
    assert all((tmp_path / f"report.{kind}").exists() for kind in ("md", "csv", "json"))
    callback._at_exit()
    assert capsys.readouterr().out == ""


def test_no_record_is_one_line(tmp_path, capsys):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "record.json").write_text("{")
    SweepReport().on_multirun_end(config(tmp_path))
    out = capsys.readouterr().out
    assert out.startswith("No comparison: none of 1 run folders")
    assert out.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_an_error_in_the_report_is_one_line(tmp_path, run, record, monkeypatch):
    run(record())
    monkeypatch.setattr(
        "gen_models.reporting.report.write_comparison",
        lambda *_: (_ for _ in ()).throw(OSError("full")),
    )
    assert compare(tmp_path) == f"No comparison of {tmp_path}: OSError: full"


def test_a_sweep_with_a_broken_job_keeps_its_error_and_gets_its_report(tmp_path, run, record):
    """Through Hydra itself, which leaves out `on_multirun_end` when a job has raised."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(source=str(run(record()))))
    sweep = tmp_path / "out"
    done = subprocess.run(
        [
            *(sys.executable, str(script), "-m", "+seed=0,1", f"hydra.sweep.dir={sweep}"),
            "+hydra.callbacks.report._target_=gen_models.reporting.sweep.SweepReport",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "seed 1 is broken" in done.stderr
    assert f"Comparison of 2 runs: {sweep / 'report.html'}" in done.stdout
    assert (sweep / "report.html").exists()


@pytest.mark.parametrize("module", ["sweep", "terminal", "runs", "report"])
def test_importing_is_light(module):
    code = (
        f"import sys, gen_models.reporting.{module}\n"
        "heavy = {'torch', 'matplotlib', 'jinja2', 'scipy', 'numpy'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_terminal_table_fits_eighty_columns(record, value, tmp_path):
    reason = (
        "GAN has no encoder (does not satisfy Reconstructs), and nothing [bold]stands in for one"
    )
    made = record(
        "gan",
        0,
        value(1.25),
        value(2.0, "fid_random_1000_test"),
        value(
            None,
            "kl_nats",
            title="Rate [red]of the posterior over the prior, in the test split",
            reason=reason,
        ),
    )
    stream = io.StringIO()
    print_table(made, Console(file=stream, width=80), tmp_path / "report.html")
    lines = stream.getvalue().splitlines()
    text = " ".join(stream.getvalue().split())
    assert all(len(line) <= 80 for line in lines[:-1])
    assert lines[-1] == f"Report: {tmp_path / 'report.html'}"
    assert "1.250 [1.150, 1.350]" in text
    assert "fid_random_1000_test" in text
    for word in ("[red]of", "split", *reason.split()):
        assert word in text
