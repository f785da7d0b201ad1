"""A comparison that follows its runs, without a second of waiting."""

import json
import os
from datetime import datetime
from functools import partial

import pytest

from gen_models import report
from gen_models.reporting import watch as watching
from gen_models.reporting.live import live, under_way
from gen_models.reporting.watch import SHARE, watch

from .conftest import save, tiny_png

REFRESH = '<meta http-equiv="refresh" content="10">'
SCORE = "validation/fid_digits64_1293_validation"


@pytest.fixture
def going(tmp_path):
    """Make a run under way: its log, and images seen of the grids it has drawn."""

    def make(log="", grids=(), name="1-gan-seed0", **told):
        folder = tmp_path / "sweep" / name
        (folder / "progress").mkdir(parents=True)
        (folder / "status.json").write_text(json.dumps({"status": "running", **told}))
        (folder / "metrics.csv").write_text(log)
        for images in grids:
            (folder / f"progress/{images:09d}.png").write_bytes(tiny_png())
        return folder

    return make


@pytest.fixture
def shown(tmp_path):
    """What the page says of runs under way: the cells of each, and its grids."""

    def read(*runs):
        made = live(runs, tmp_path, 10, datetime(2026, 1, 2, 3, 4, 5))
        return [[c.text for c in (r.head, *r.cells)] for r in made.runs.rows], made.grids

    return read


def steps(*actions):
    """A wait that does the next action in place of sleeping, and then is interrupted."""
    left = list(actions)

    def wait(seconds):
        if not left:
            raise KeyboardInterrupt
        left.pop(0)()

    return wait


def test_a_run_under_way_tells_how_far_it_is(going, shown):
    log = (
        f"seconds,step,train/loss,{SCORE}\n1.5,640,9.0,\n2.0,1000,,30.5\n3.0,1500,8.0,\n"
        "4.0,2000,,20.25\n5.6,3000,,25.0\n6.0,3500,7.0,\n"
    )
    run = going(log, (1000, 3000), model="gan", seed=3, max_images=14_000)
    ((head, images, seconds, now, best, sign),), (grid,) = shown(run)
    assert head == "gan, seed 3 · sweep/1-gan-seed0"
    assert images == "3,500 of 14,000 (25%)"
    assert (seconds, now, best) == ("6", "25.00", "20.25 at 2,000 images")
    assert datetime.strptime(sign, "%H:%M:%S")
    assert grid.link == "sweep/1-gan-seed0/progress/000003000.png"
    assert grid.caption == "samples after 3,000 images"


def test_what_is_half_written_is_left_out(going, shown):
    run = going(f"seconds,step,{SCORE}\n1.0,640,30.5\n2.0,1280,nan\nx,1920,\n4.0,2560,12", (640,))
    (run / "progress/000001280.png").write_bytes(tiny_png()[:-5])
    ((head, images, seconds, now, best, _),), (grid,) = shown(run)
    assert head == "sweep/1-gan-seed0"
    assert (images, seconds, now, best) == ("1,920", "2", "30.50", "30.50 at 640 images")
    assert grid.link.endswith("000000640.png")


@pytest.mark.parametrize("log", ["", "seconds,st", "\n\n", "a,b\n1\n1,2,3\n", "\udcff"])
def test_a_log_that_says_nothing_yet_leaves_the_grid_to_tell(going, shown, log):
    run = going("", (640,), max_images="many")
    (run / "metrics.csv").write_bytes(log.encode(errors="surrogateescape"))
    ((_, *cells, _),), _ = shown(run)
    assert cells == ["640", "", "", ""]


def test_a_status_that_is_half_or_no_object_is_no_run_under_way(going):
    run = going()
    assert under_way(run)
    for text in ('{"status": "run', "[]", '{"status": "failed"}', ""):
        (run / "status.json").write_text(text)
        assert not under_way(run)


def test_the_page_follows_its_runs_and_is_written_only_for_news(
    tmp_path, going, record, monkeypatch
):
    run, sweep = going("seconds,step\n", model="gan"), tmp_path / "sweep"
    written = []

    def write(*given):
        written.append(len(given) > 2)
        return original(*given)

    original = watching.write_comparison
    monkeypatch.setattr(watching, "write_comparison", write)
    page = sweep / "report.html"
    seen = []

    def look(change=lambda: None):
        def step():
            seen.append(page.read_text())
            change()

        return step

    def log():
        (run / "metrics.csv").write_text("seconds,step\n7.0,4480\n")

    def end():
        save(run, record("gan", 0))
        (run / "status.json").write_text('{"status": "finished"}')

    def cut():
        save(sweep / "0-vae", record("vae", 0))
        whole = (sweep / "0-vae/record.json").read_text()
        (sweep / "0-vae/record.json").write_text(whole[: len(whole) // 2])

    wait = steps(look(), look(log), look(end), look(cut), look())
    assert watch(sweep, sweep, 10, wait, lambda: 0.0) == page
    assert written == [True, True, True, True, False]
    assert all(REFRESH in text for text in seen)
    assert REFRESH not in page.read_text()
    assert "No run has ended." in seen[0]
    assert "4,480" not in seen[1]
    assert "4,480" in seen[2]
    assert "No run is under way." in seen[3]
    assert "gan" in seen[3]
    assert "not whole JSON" in seen[4]
    assert "gan" in seen[4]


def test_the_final_page_lists_what_is_still_under_way(tmp_path, going):
    going()
    page = watch(tmp_path / "sweep", tmp_path, 10, steps())
    assert "no record.json; status.json says running" in page.read_text()
    assert 'http-equiv="refresh"' not in page.read_text()


def test_writing_takes_a_small_part_of_the_time(tmp_path):
    times = iter([0.0, 3.0, 5.0, 5.5])
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt

    watch(tmp_path, tmp_path, 10, wait, lambda: next(times))
    assert waits == [SHARE * 3.0, 10]


def test_names_of_runs_are_shown_and_not_obeyed(tmp_path, going):
    going(f"seconds,step,{SCORE}<b>\n1,2,3\n", (5,), model="<script>alert(1)</script>")
    seen = []
    wait = steps(lambda: seen.append((tmp_path / "report.html").read_text()))
    watch(tmp_path / "sweep", tmp_path, 10, wait)
    assert "&lt;script&gt;alert(1)" in seen[0]
    assert "<script>alert" not in seen[0]
    assert "<b>" not in seen[0].replace("<b>&lt;script", "")


def test_the_command_ends_well_and_tells_the_last_line(tmp_path, going, monkeypatch, capsys):
    going()
    monkeypatch.setattr(report, "watch", partial(watch, wait=steps()))
    assert report.main(["--watch", str(tmp_path / "sweep")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"Comparison of 1 runs: {tmp_path / 'sweep/report.html'}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--watch", "nowhere"], "nowhere: there is no such folder"),
        (["--watch", ".", "--every", "0"], "--every 0 must be 1 or more"),
        (["--watch", "sweep/1-gan-seed0"], "is a run and has a report of its own: give --out DIR"),
    ],
)
def test_a_folder_that_cannot_be_watched_is_one_line(
    tmp_path, going, monkeypatch, capsys, words, message
):
    going()
    monkeypatch.chdir(tmp_path)
    assert report.main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert os.listdir(tmp_path) == ["sweep"]


@pytest.mark.parametrize("words", [[], ["--watch", "a", "b"]])
def test_one_of_two_is_to_be_done(words):
    with pytest.raises(SystemExit, match="2"):
        report.main(words)


def test_a_name_that_utf_8_cannot_hold_is_shown(going, shown):
    ((head, *_),), _ = shown(going(model="\ud800", seed="\x1b"))
    assert head == r"\ud800, seed \x1b · sweep/1-gan-seed0"
