"""What torch's threads cost beside other programs: `python benchmarks/speed/threads.py`.

One table: seconds by the clock of `python run.py`, without evaluation, alone and beside as many
busy processes as there are cores. Three sides take turns: threads that look on for one another as
`gen_models` asks for, as GNU OpenMP has them by itself, and one thread. Medians and quartiles of
the others' seconds over ours.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from machine import keep
from ratios import ratio
from rich.console import Console
from rich.table import Table

REPOSITORY = Path(__file__).resolve().parents[2]
SIDES = {
    "ours": {},
    "OpenMP's own": {"GOMP_SPINCOUNT": "300000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
"""The environment of each; 300,000 is what libgomp takes where nothing is said."""


def busy() -> None:
    """Compute for ever."""
    while True:
        pass


@contextmanager
def others(count: int) -> Iterator[None]:
    """So many busy processes."""
    started = [multiprocessing.Process(target=busy, daemon=True) for _ in range(count)]
    for process in started:
        process.start()
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.join()


def seconds(side: str, overrides: list[str]) -> float:
    """By the clock, of one run."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["evaluate=false", f"hydra.run.dir={folder}/run", *overrides]
        began = time.monotonic()
        subprocess.run(
            [sys.executable, REPOSITORY / "run.py", *words],
            check=True,
            capture_output=True,
            env=os.environ | SIDES[side],
        )
        return time.monotonic() - began


def measure(model: str, beside: int, turns: int, overrides: list[str]) -> dict[str, Any]:
    """Seconds of all sides, turn by turn."""
    with others(beside):
        rows = [
            {side: seconds(side, [f"model={model}", *overrides]) for side in SIDES}
            for _ in range(turns)
        ]
    return {"model": model, "beside": beside, "seconds": {s: [r[s] for r in rows] for s in SIDES}}


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description="Threads that wait for one another.")
    parser.add_argument("overrides", nargs="*", help="further overrides, as of run.py")
    parser.add_argument("--models", nargs="+", default=["vae", "gan"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--out", type=Path, help="JSON with the seconds of every turn")
    options = parser.parse_args()
    cores, words = os.cpu_count() or 1, [f"max_images={options.images}", *options.overrides]
    cases = [
        measure(model, beside, options.turns, words)
        for model in options.models
        for beside in (0, cores)
    ]
    shown = Table("model", "busy processes", "ours, s", *list(SIDES)[1:])
    for case in cases:
        ours, *rest = case["seconds"].values()
        told = [ratio(theirs, ours) for theirs in rest]
        shown.add_row(case["model"], str(case["beside"]), f"{median(ours):.1f}", *told)
    Console(width=110).print(shown)
    keep(options.out, images=options.images, cases=cases)


if __name__ == "__main__":
    main()
