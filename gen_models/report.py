"""Compare runs that are there already: `python -m gen_models.report RUN_DIR... [--out DIR]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gen_models.reporting.report import find_runs, write_comparison


def main(words: list[str] | None = None) -> int:
    """Write the comparison of all runs at or below the folders; 2 if there are none."""
    parser = argparse.ArgumentParser(prog="python -m gen_models.report", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="run folders, or folders of runs")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the report")
    options = parser.parse_args(words)
    runs = [run for folder in options.folders for run in find_runs(folder)]
    if not runs:
        places = ", ".join(str(folder) for folder in options.folders)
        print(f"error: no run folder (with a record.json) in {places}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"Comparison of {len(runs)} runs: {write_comparison(options.out, runs)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
