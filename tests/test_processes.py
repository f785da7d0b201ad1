"""Processes of one run: their errors and ends are told, and signals reach them all."""

import errno
import os
import signal
import sys
import threading
import time

import pytest
import torch
from torch.multiprocessing import ProcessRaisedException

from gen_models import launching, processes
from gen_models.config import explain, follow
from gen_models.errors import UsageError


def refuse(late):
    processes.join(gpu=False)
    if late and not processes.first():
        time.sleep(600)
    raise UsageError(f"process {processes.rank()} of {processes.count()} cannot")


def leave(code):
    processes.join(gpu=False)
    processes.by_first(lambda: None)
    if processes.first():
        raise SystemExit(code)


def fail():
    processes.join(gpu=False)
    if processes.rank() == 1:
        raise ArithmeticError("of the second")
    processes.by_first(lambda: None)


def lack(error):
    processes.join(gpu=False)
    if processes.rank() == 1:
        raise error
    processes.by_first(lambda: None)


def wait(folder, handled):
    def end(number, frame):
        (folder / str(os.getpid())).write_text(str(number))
        raise SystemExit(128 + number)

    if handled:
        signal.signal(signal.SIGINT, end)
    (folder / f"ready{os.environ['RANK']}").touch()
    time.sleep(600)


def launch(work, *arguments):
    started = time.monotonic()
    try:
        launching.launch(work, arguments, 2)
    finally:
        assert time.monotonic() - started < 300


@pytest.mark.parametrize("late", [False, True])
def test_a_mistake_that_one_process_meets_is_told_in_one_line_and_ends_all(late):
    with pytest.raises(UsageError, match=r"^process \d of 2 cannot$"):
        launch(refuse, late)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left", "last.ckpt"), "cannot write last.ckpt: No space"),
        (MemoryError(), "out of memory: lower data.batch_size"),
        (torch.OutOfMemoryError("CUDA:\nMore"), "out of memory: lower data.batch_size"),
    ],
)
def test_what_the_machine_lacks_is_told_in_one_line_as_by_one_process(error, line):
    with pytest.raises(UsageError, match=f"^{line}") as told:
        launch(lack, error)
    assert str(told.value) == explain(error)
    assert isinstance(told.value.__cause__, launching.Failed)
    assert ", in lack\n" in told.value.__notes__[0]


def test_the_status_of_the_first_is_that_of_all():
    with pytest.raises(SystemExit) as ended:
        launch(leave, 130)
    assert ended.value.code == 130
    launch(leave, 0)


def test_any_other_error_comes_with_its_traceback():
    with pytest.raises(ProcessRaisedException, match="ArithmeticError: of the second"):
        launch(fail)


@pytest.mark.parametrize("handled", [True, False])
def test_a_signal_reaches_every_process_once(tmp_path, handled):
    number = signal.SIGINT if handled else signal.SIGTERM

    def send():
        while len(list(tmp_path.glob("ready*"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    before = signal.getsignal(number)
    sender.start()
    with pytest.raises(SystemExit) as ended:
        launch(wait, tmp_path, handled)
    sender.join()
    assert ended.value.code == 128 + number
    assert signal.getsignal(number) is before
    got = [path.read_text() for path in tmp_path.glob("[0-9]*")]
    assert got == ["2", "2"] * handled


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 1),
        ({"devices": 2}, 2),
        ({"devices": "3"}, 3),
        ({"devices": "0,3"}, 2),
        ({"devices": "1,"}, 1),
        ({"devices": [1, 2, 5]}, 3),
        ({"devices": -1}, 1),
        ({"devices": 2, "num_nodes": 4}, 8),
    ],
)
def test_as_many_processes_as_lightning_would_have_devices(options, count):
    assert launching.wanted({"accelerator": "cpu", **options}) == count


def test_alone_there_is_nobody_to_ask():
    assert (processes.rank(), processes.count(), processes.first()) == (0, 1, True)
    assert list(processes.share(3)) == [0, 1, 2]
    assert processes.gathered(lambda: 5) == [5]
    assert processes.by_first(lambda: 6) == 6
    assert processes.largest(7) == 7


def test_as_many_have_to_be_there_as_torchrun_has_started(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match=r"started 3 processes, .* ask for 2"):
        launching.everywhere(fail, {"accelerator": "cpu", "devices": 2})


@pytest.mark.parametrize("rank", ["0", "1"])
def test_under_torchrun_the_first_process_alone_makes_a_folder(monkeypatch, rank):
    monkeypatch.setattr(sys, "argv", ["run.py", "model=vae"])
    follow()
    assert sys.argv == ["run.py", "model=vae"]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("RANK", rank)
    follow()
    assert ("hydra.output_subdir=null" in sys.argv) == (rank == "1")
    monkeypatch.setattr(sys, "argv", ["run.py", "-m", "model=vae,gan"])
    with pytest.raises(UsageError, match="leave torchrun out"):
        follow()


def test_several_machines_are_for_torchrun():
    with pytest.raises(UsageError, match="is started by torchrun"):
        launching.everywhere(fail, {"accelerator": "cpu", "devices": 1, "num_nodes": 2})
