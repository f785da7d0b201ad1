"""What training was warned of: kept in the record, shown by both reports."""

from dataclasses import replace

from gen_models.records import Event, Record
from gen_models.reporting.report import write_comparison, write_report

EVENT = Event(64_000, "discriminator saturation", "it teaches <little>; lower its rate")


def test_events_come_back_as_they_were(tmp_path, record):
    made = record(events=(EVENT,))
    assert Record.read(made.write(tmp_path / "record.json")) == made


def test_a_report_shows_when_it_was_and_what_to_do(run, record):
    folder = run(record(events=(EVENT, replace(EVENT, images=128_000, kind="divergence"))))
    page = write_report(folder).read_text()
    assert "discriminator saturation at 64,000 images: it teaches &lt;little&gt;" in page
    assert "divergence at 128,000 images" in page
    assert "discriminator saturation at 64,000 images" in (folder / "report.md").read_text()


def test_a_run_without_events_has_no_such_part(run, record):
    assert "In training:" not in write_report(run(record())).read_text()


def test_a_comparison_names_the_run_finished_or_not(tmp_path, run, record):
    runs = [
        run(record("vae", 0)),
        run(record("gan", 1, events=(EVENT,))),
        run(record("gan", 2, events=(EVENT,), status="diverged", reason="NaN")),
    ]
    page = write_comparison(tmp_path, runs).read_text()
    for seed in (1, 2):
        assert f"gan, seed {seed}, discriminator saturation at 64,000 images" in page
    assert "vae, seed 0, " not in page
    assert "gan, seed 2, discriminator" in (tmp_path / "report.md").read_text()
