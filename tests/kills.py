"""Runs in processes that are cheap to start and to kill.

They are forked from a server that has imported all there is to import, and has computed nothing:
a process that imports torch and Lightning costs seconds, a fork of one milliseconds.
"""

import contextlib
import multiprocessing
import time
from pathlib import Path

from gen_models.app import run
from gen_models.config import RunConfig

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["tests.kills", "sklearn.datasets", "matplotlib.backends.backend_svg"]
)


def train(config, folder):
    """What a killed process does: one run, told of in a file."""
    with (
        Path(f"{folder}.txt").open("a") as told,
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(told),
    ):
        run(RunConfig(**config), Path(folder), "model", "python run.py")


def start(target, *arguments):
    """A process at work."""
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


def ended(process, seconds=300):
    """Its exit status; negative: the signal that killed it."""
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"still at work after {seconds} seconds")
    return process.exitcode


def killed(saves, seconds, target, *arguments):
    """Kill so many seconds behind so many checkpoints; the status where it ended before.

    Progress and not the clock says when, so that a busy machine is killed within training too.
    """
    process, last = start(target, *arguments), Path(arguments[-1]) / "checkpoints" / "last.ckpt"
    seen = inode(last)
    while saves > 0 and process.is_alive():
        time.sleep(0.002)
        now = inode(last)
        saves, seen = saves - (now != seen), now
    process.join(seconds)
    process.kill()
    return ended(process)


def inode(path):
    """Changes each time that the file is replaced."""
    return path.stat().st_ino if path.exists() else None
