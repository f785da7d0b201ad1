"""How fast is training? `python benchmarks/speed/training.py --out benchmarks/speed/training.json`.

One table: iterations of `run.py`'s own training (its trainer with the bar on a terminal, the CSV
log, the average, its callbacks and checkpoints) beside other ways to train the same networks on the
same batches: a plain loop by hand, the same behind a torchvision data set, a module as people write
it for Lightning, pythae. All take turns in one process, behind one another's backs: ours is a
callback that lets each of the others take as many steps. Times are CPU seconds; ratios are theirs
over ours in a turn, of which medians and quartiles are shown. Validation is no part of an
iteration, and is left out on all sides. `--profile` says where the time of ours goes: the ten
functions with the largest shares of their own, by Python's profiler, which enlarges small ones.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import pty
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy
import pytorch_lightning as pl
import torch
from contestants import Step, contestants
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from gen_models.app import Run
from gen_models.config import RunConfig, register
from gen_models.folders import claim

CONF = Path(__file__).resolve().parents[2] / "conf"
ENDLESS = 10**9

Watch = TypeVar("Watch", bound=pl.Callback)


class Turns(pl.Callback):
    """Gives each of the others as many steps as ours took, and keeps the seconds of a step.

    Args:
        others: By name.
        steps: A turn.
        turns: After which training ends; one more comes first, and is not counted.
    """

    def __init__(self, others: dict[str, Step], steps: int, turns: int) -> None:
        self.others, self.steps, self.left = others, steps, turns + 1
        self.seconds: dict[str, list[float]] = {"ours": [], **{name: [] for name in others}}
        self._began = 0.0

    def on_train_start(self, *_: Any) -> None:
        """Start our first turn."""
        self._began = time.process_time()

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        """End our turn, and let the others have theirs."""
        if module.iterations % self.steps:
            return
        self._keep("ours")
        for name, step in self.others.items():
            for _ in range(self.steps):
                step()
            self._keep(name)
        self.left -= 1
        trainer.should_stop = self.left == 0
        self._began = time.process_time()

    def _keep(self, name: str) -> None:
        now = time.process_time()
        self.seconds[name].append((now - self._began) / self.steps)
        self._began = now


class Profiled(pl.Callback):
    """Profiles so many iterations behind as many others, and ends training."""

    def __init__(self, iterations: int) -> None:
        self.iterations, self.profile = iterations, cProfile.Profile()

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        """Start or end."""
        if module.iterations == self.iterations:
            self.profile.enable()
        if module.iterations == 2 * self.iterations:
            self.profile.disable()
            trainer.should_stop = True

    def largest(self, count: int = 10) -> list[tuple[str, float, float]]:
        """Function, calls an iteration and share of the time; its own, without what it calls."""
        stats: Any = pstats.Stats(self.profile)
        rows = sorted(stats.stats.items(), key=lambda row: -row[1][2])[:count]
        return [
            (f"{Path(file).name}:{name}", calls / self.iterations, own / stats.total_tt)
            for (file, _, name), (_, calls, own, *_) in rows
        ]


def composed(*overrides: str) -> RunConfig:
    """The configuration of `python run.py OVERRIDES`."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", list(overrides))
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return RunConfig(**{str(key): value for key, value in plain.items()})


def trained(
    kind: str, nets: str, batch: int, options: argparse.Namespace, watch: Callable[[Run], Watch]
) -> Watch:
    """A callback that has seen a run's training to the end that it gave it."""
    chosen = [f"model={kind}", f"model/generator={nets}", f"model/trunk={nets}"]
    budget = [f"data.batch_size={batch}", f"max_images={ENDLESS}"]
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there) / "run"
        folder.mkdir()
        claim(folder)
        run = Run(composed(*chosen, *budget, *options.overrides), folder, kind, "", None)
        watching = watch(run)
        run.trainer.callbacks.append(watching)  # type: ignore[attr-defined]
        run.trainer.fit(run.model, datamodule=run.data)
    return watching


def measure(kind: str, nets: str, batch: int, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a step of each contestant, turn by turn; and the profile of ours."""
    steps = options.steps if nets == "mlp" else max(4, options.steps // 10)

    def turns(run: Run) -> Turns:
        others = contestants(kind, run.model, run.data.train.images, batch)
        if options.only_bare:
            others = {"bare loop": others["bare loop"]}
        return Turns(others, steps, options.turns)

    found = trained(kind, nets, batch, options, turns).seconds
    case: dict[str, Any] = {"model": kind, "networks": nets, "batch": batch}
    case["seconds"] = {name: values[1:] for name, values in found.items()}
    if options.profile:
        profiled = trained(kind, nets, batch, options, lambda _: Profiled(3 * steps))
        case["profile"] = profiled.largest()
    return case


def ratios(case: dict[str, Any], name: str) -> tuple[float, float, float]:
    """First quartile, median and third quartile of theirs over ours."""
    theirs, ours = (numpy.array(case["seconds"][key]) for key in (name, "ours"))
    low, middle, high = numpy.quantile(theirs / ours, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def table(cases: list[dict[str, Any]]) -> Table:
    """A row a case, a column a contestant."""
    names = list(dict.fromkeys(name for case in cases for name in case["seconds"]))[1:]
    shown = Table("model", "networks", "batch", "ours, ms", *names)
    for case in cases:
        ours = 1e3 * float(numpy.median(case["seconds"]["ours"]))
        cells = [
            "{1:.2f} ({0:.2f}-{2:.2f})".format(*ratios(case, name))
            if name in case["seconds"]
            else ""
            for name in names
        ]
        shown.add_row(case["model"], case["networks"], str(case["batch"]), f"{ours:.2f}", *cells)
    return shown


def profile_table(case: dict[str, Any]) -> Table:
    """Where the time of ours goes."""
    title = f"{case['model']}, {case['networks']}, {case['batch']}"
    shown = Table(title, "calls an iteration", "share of the time")
    for name, calls, share in case["profile"]:
        shown.add_row(name, f"{calls:.1f}", f"{share:.1%}")
    return shown


def on_a_terminal() -> None:
    """Give this process a terminal for its errors, on which the bar is drawn, and read it away."""
    leader, follower = pty.openpty()
    shown = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1)
    os.dup2(follower, sys.stderr.fileno())
    sys.excepthook = lambda *error: traceback.print_exception(*error, file=shown)

    def drain() -> None:
        while os.read(leader, 65536):
            pass

    threading.Thread(target=drain, daemon=True).start()


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description="Training speed beside other ways to train.")
    parser.add_argument("overrides", nargs="*", help="further overrides, as of run.py")
    parser.add_argument("--models", nargs="+", default=["vae", "gan"])
    parser.add_argument("--networks", nargs="+", default=["mlp", "conv"])
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 128, 512])
    parser.add_argument("--steps", type=int, default=100, help="a turn; conv: a tenth")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only-bare", action="store_true", help="no contestant but the plain loop")
    parser.add_argument("--profile", action="store_true", help="where the time of ours goes")
    parser.add_argument("--out", type=Path, help="JSON with the seconds of every turn")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    on_a_terminal()
    cases = []
    for nets, kind, batch in product(options.networks, options.models, options.batches):
        cases.append(measure(kind, nets, batch, options))
        Console(width=110).print(table(cases[-1:]))
        if options.profile:
            Console(width=110).print(profile_table(cases[-1]))
    Console(width=110).print(table(cases))
    if options.out:
        versions = {"torch": torch.__version__, "pytorch-lightning": pl.__version__}
        machine = {"processor": processor(), "python": platform.python_version(), **versions}
        record = {"machine": machine, "threads": options.threads, "cases": cases}
        options.out.write_text(json.dumps(record, indent=1) + "\n")


def processor() -> str:
    """Its name, where the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
