"""From command to report: `python benchmarks/speed/command.py --out benchmarks/speed/command.json`.

Two tables. Seconds by the clock of each stage of `python run.py model=vae` and `model=gan`, from
the start of the process to its end: the run itself, with a clock around its stages. And CPU seconds
of an import of this package over one of torch and Lightning, and seconds of `--help`. Fresh
processes, which take turns; medians, with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from machine import keep
from rich.console import Console
from rich.table import Table

REPOSITORY = Path(__file__).resolve().parents[2]
STAGES = "import", "compose", "data and model", "training", "evaluation", "report", "end"
LIBRARIES = "import torch, pytorch_lightning"
IMPORTS = {"libraries": LIBRARIES, "ours": f"{LIBRARIES}; import gen_models.app"}


def staged(overrides: list[str], began: float) -> None:
    """Run `run.py OVERRIDES` in this process, and print the seconds at which its stages began.

    Args:
        overrides: Of `run.py`.
        began: `time.time()` when the process was started.
    """
    marks: dict[str, float] = {"import": began}

    def marking(stage: str, work: Callable[..., Any], after: str | None = None) -> Any:
        @functools.wraps(work)
        def marked(*arguments: Any, **options: Any) -> Any:
            marks[stage] = time.time()
            result = work(*arguments, **options)
            if after is not None:
                marks[after] = time.time()
            return result

        return marked

    from gen_models import app
    from gen_models.app import Run

    Run.__init__ = marking("data and model", Run.__init__)  # type: ignore[method-assign]
    Run.fit = marking("training", Run.fit, after="evaluation")  # type: ignore[method-assign]
    Run.report = marking("report", Run.report, after="end")  # type: ignore[method-assign]
    assert app.Run is Run
    marks["compose"] = time.time()
    sys.argv = ["run.py", *overrides]
    sys.path.insert(0, str(REPOSITORY))
    runpy.run_path(str(REPOSITORY / "run.py"), run_name="__main__")
    print(f"\n{json.dumps(marks)}", flush=True)


def seconds_of_stages(overrides: list[str]) -> dict[str, float]:
    """Seconds of each stage of a run in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        command = [sys.executable, __file__, "--began", str(began)]
        places = [f"hydra.run.dir={folder}/run"]
        environment = {**os.environ, "GEN_MODELS_CACHE": f"{folder}/cache"}
        output = subprocess.run(
            [*command, *overrides, *places],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        ).stdout
        ended = time.time()
    marks = json.loads(output.splitlines()[-1])
    edges = [*(marks[stage] for stage in STAGES), ended]
    return {stage: edges[i + 1] - edges[i] for i, stage in enumerate(STAGES)}


def cpu_seconds(*words: str) -> float:
    """CPU seconds of a fresh Python."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True, cwd=REPOSITORY)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def spread(values: list[float]) -> str:
    """The median, and the ends."""
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def stages_table(runs: dict[str, list[dict[str, float]]]) -> Table:
    """A row a stage, a column a run."""
    shown = Table("stage, seconds", *runs)
    for stage in STAGES:
        shown.add_row(stage, *(spread([one[stage] for one in runs[name]]) for name in runs))
    rest = {
        name: [sum(one.values()) - one["training"] for one in found] for name, found in runs.items()
    }
    shown.add_section()
    shown.add_row("all but training", *(spread(rest[name]) for name in runs))
    return shown


def start_table(start: dict[str, list[float]]) -> Table:
    """A row for what Python loads."""
    shown = Table("start, CPU seconds", "median (range)")
    shown.add_row("import torch, pytorch_lightning", spread(start["libraries"]))
    shown.add_row("and gen_models.app", spread(start["ours"]))
    pairs = zip(start["ours"], start["libraries"], strict=True)
    shown.add_row("ratio", spread([ours / theirs for ours, theirs in pairs]))
    shown.add_row("run.py --help", spread(start["help"]))
    return shown


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description="Seconds from command to report.")
    parser.add_argument("overrides", nargs="*", help="further overrides, as of run.py")
    parser.add_argument("--models", nargs="+", default=["vae", "gan"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON with all seconds")
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.began is not None:
        staged(options.overrides, options.began)
        return
    start: dict[str, list[float]] = {"libraries": [], "ours": [], "help": []}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in options.models}
    for _ in range(options.turns):
        for name, words in IMPORTS.items():
            start[name].append(cpu_seconds("-c", words))
        start["help"].append(cpu_seconds("run.py", "--help"))
        for name, found in runs.items():
            found.append(seconds_of_stages([f"model={name}", *options.overrides]))
    for table in (start_table(start), stages_table(runs)):
        Console(width=110).print(table)
    keep(options.out, start=start, runs=runs)


if __name__ == "__main__":
    main()
