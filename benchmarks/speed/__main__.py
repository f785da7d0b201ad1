"""All benchmarks of speed, one after the other: `python benchmarks/speed data.root=DIR --out DIR`.

DIR of `data.root` has MNIST, for quality against time, which is left out without it. Tables are
printed as each prints them, records written as NAME.json. On two cores it takes two hours; one
that fails does not keep the others from their turn. What a machine with a GPU has beside:
`gpu.py`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
NAMES = (
    "training",
    "last_layer",
    "command",
    "threads",
    "features",
    "growth",
    "quality",
    "gpu",
)


def main() -> None:
    """Run them, and say which have failed."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/speed", description="All benchmarks of speed."
    )
    parser.add_argument("root", nargs="?", metavar="data.root=DIR", help="where MNIST lies")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the records")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in options.only:
        if name == "quality" and options.root is None:
            print("quality: left out; give data.root=DIR, where MNIST lies", flush=True)
            continue
        if name == "gpu" and not torch.cuda.is_available():
            print("gpu: left out; there is none", flush=True)
            continue
        words = {"training": ["--profile"], "quality": [options.root]}.get(name, [])
        out = options.out / name  # of a record, or of a record and a picture
        out = out if name in ("growth", "quality") else out.with_suffix(".json")
        print(f"\n{name}", flush=True)
        began = time.monotonic()
        command = [sys.executable, HERE / f"{name}.py", *words, "--out", out]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"{name}: {(time.monotonic() - began) / 60:.0f} minutes", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
