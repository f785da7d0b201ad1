"""A run that was killed wrote no last word: its lock tells, where it can be seen."""

import json
import multiprocessing
import platform

import pytest

from gen_models.folders import claim, taken
from gen_models.records.status import at_work
from gen_models.reporting import watch as watching
from gen_models.reporting.live import under_way
from gen_models.reporting.runs import read_run

COMMAND = "python run.py model=gan hydra.run.dir=a resume=true"


def work(folder, pipe):
    with taken(folder):
        claim(folder, model="gan", go_on=COMMAND)
        pipe.send("at work")
        pipe.recv()


@pytest.fixture
def process(tmp_path):
    """One at work on the folder `run`."""
    context = multiprocessing.get_context("spawn")
    mine, other = context.Pipe()
    process = context.Process(target=work, args=(tmp_path / "run", other))
    process.start()
    try:
        assert mine.recv() == "at work"
        yield process
    finally:
        process.kill()
        process.join()


def kill(process):
    process.kill()
    process.join()


def test_a_killed_run_is_told_from_one_at_work_and_says_how_to_go_on(tmp_path, process):
    run = tmp_path / "run"
    assert at_work(run) is True
    assert under_way(run)
    assert "running, and a process is at work on it" in read_run(run).problem
    kill(process)
    assert at_work(run) is False
    assert not under_way(run)
    told = f"it ended without a word: killed, or the machine stopped; go on with: {COMMAND}"
    assert read_run(run).problem == f"no record.json; {told}"


def test_looking_does_not_take_the_folder(tmp_path, process):
    run = tmp_path / "run"
    kill(process)
    assert at_work(run) is False
    with taken(run):
        assert at_work(run) is True


@pytest.mark.parametrize("host", ["another", None, 3])
def test_of_a_run_that_was_begun_elsewhere_nobody_says_that_it_was_killed(tmp_path, host):
    told = {"status": "running", "go_on": COMMAND} | ({"host": host} if host else {})
    (tmp_path / "status.json").write_text(json.dumps(told))
    assert at_work(tmp_path) is None
    assert under_way(tmp_path)
    problem = read_run(tmp_path).problem
    assert "no process of this machine is at work on it" in problem
    assert ("it was begun on another" in problem) == (host == "another")
    assert problem.endswith(f"if none is elsewhere, go on with: {COMMAND}")


def test_one_that_is_seen_at_work_is_at_work_wherever_it_was_begun(tmp_path, process):
    run = tmp_path / "run"
    assert json.loads((run / "status.json").read_text())["host"] == platform.node()
    (run / "status.json").write_text('{"status": "running", "host": "another"}')
    assert at_work(run) is True


def test_a_watched_page_tells_of_a_kill_though_no_file_changes(tmp_path, process):
    pages = []

    def wait(seconds):
        pages.append((tmp_path / "report.html").read_text())
        if len(pages) == 2:
            raise KeyboardInterrupt
        kill(process)

    watching.watch(tmp_path, tmp_path, 10, wait, lambda: 0.0)
    assert "Runs under way" in pages[0]
    assert "ended without a word" not in pages[0]
    assert "No run is under way." in pages[1]
    assert f"go on with: {COMMAND}" in pages[1]
