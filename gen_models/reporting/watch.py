"""A comparison that is written again as its runs go on: a loop, for want of a lighter library."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gen_models.reporting.comparison import write_comparison
from gen_models.reporting.live import live, signs, under_way
from gen_models.reporting.runs import find_runs

SHARE = 10
"""A page that took a second is not written again for ten: training wants the processor."""


def watch(
    folder: Path,
    out: Path,
    every: int = 10,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Path:
    """Write the comparison of all runs below a folder whenever one of them has gone on.

    Ends at Ctrl-C, and writes the page once more as a page that stays as it is.

    Args:
        folder: Of the sweep; there may be no run in it yet.
        out: Folder of the report; it is there already.
        every: Seconds between two looks, and after which the page loads itself again.
        wait: Sleeps so many seconds.
        clock: Seconds since whenever.

    Returns:
        The path of report.html.
    """
    known: dict[Path, object] | None = None
    try:
        while True:
            started, found = clock(), _marks(folder)
            if found != known:
                _write(folder, out, every)
                known = found
            wait(max(every, SHARE * (clock() - started)))
    except KeyboardInterrupt:
        return write_comparison(out, find_runs(folder))


def _marks(folder: Path) -> dict[Path, object]:
    """When each file that tells of a run was written, and its size; and whether a run is under way.

    One that is killed writes nothing.
    """
    runs = find_runs(folder)
    found: dict[Path, object] = {run: under_way(run) for run in runs}
    for file in (file for run in runs for file in signs(run)):
        stat = file.stat()
        found[file] = stat.st_mtime_ns, stat.st_size
    return found


def _write(folder: Path, out: Path, every: int) -> None:
    runs = find_runs(folder)
    going = [run for run in runs if under_way(run)]
    ended = [run for run in runs if run not in going]
    write_comparison(out, ended, live(going, out, every, datetime.now()))
