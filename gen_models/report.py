"""Compare runs that are there already: `python -m gen_models.report RUN_DIR... [--out DIR]`.

With `--watch SWEEP_DIR` the comparison is written again as the runs of a sweep go on, into the
sweep's folder, until Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gen_models.reporting.report import find_runs, write_comparison
from gen_models.reporting.watch import watch


def main(words: list[str] | None = None) -> int:
    """Write the comparison of all runs at or below the folders, each once; 2 if one holds none."""
    parser = argparse.ArgumentParser(
        prog="python -m gen_models.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="*", type=Path, help="run folders, or folders of runs")
    parser.add_argument("--out", type=Path, help="folder of the report; here if not given")
    parser.add_argument("--watch", type=Path, metavar="SWEEP_DIR", help="follow a sweep")
    parser.add_argument("--every", type=int, default=10, help="seconds between two looks")
    options = parser.parse_args(words)
    if (options.watch is None) == (not options.folders):
        parser.error("give run folders, or --watch SWEEP_DIR and none")
    try:
        return _watched(options) if options.watch else _compared(options)
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2


def _compared(options: argparse.Namespace) -> int:
    found = {place: find_runs(_folder(place)) for place in options.folders}
    if empty := [str(place) for place, runs in found.items() if not runs]:
        print(f"error: no run folder (with a record.json) in {', '.join(empty)}", file=sys.stderr)
        return 2
    runs = list({run.resolve(): run for some in found.values() for run in some}.values())
    out = options.out or Path()
    if problem := _taken(out):
        print(f"error: {problem}", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    print(f"Comparison of {len(runs)} runs: {write_comparison(out, runs)}")
    return 0


def _folder(place: Path) -> Path:
    """The run's folder, where its record was named."""
    return place.parent if place.name == "record.json" and place.is_file() else place


def _watched(options: argparse.Namespace) -> int:
    folder, out = options.watch, options.out or options.watch
    problem = _refused(folder, out, options.every)
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    print(f"{out / 'report.html'} follows the runs in {folder}; Ctrl-C ends this.", flush=True)
    page = watch(folder, out, options.every)
    print(f"Comparison of {len(find_runs(folder))} runs: {page}")
    return 0


def _refused(folder: Path, out: Path, every: int) -> str:
    """Why a folder cannot be watched; empty if it can."""
    if every < 1:
        return f"--every {every} must be 1 or more"
    if not folder.is_dir():
        return f"--watch {folder}: there is no such folder"
    return _taken(out)


def _taken(out: Path) -> str:
    """Why a comparison may not be written here; empty if it may."""
    taken = out.exists() and out in find_runs(out)
    return f"{out} is a run and has a report of its own: give --out DIR" if taken else ""


if __name__ == "__main__":
    sys.exit(main())
