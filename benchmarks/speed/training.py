"""How fast is training? `python benchmarks/speed/training.py --out benchmarks/speed/training.json`.

One table: iterations of `run.py`'s own training (its trainer with the bar on a terminal, the CSV
log, the average, its callbacks and checkpoints) beside other ways to train the same networks on the
same batches: a plain loop by hand, the same behind a torchvision data set, a module as people write
it for Lightning, pythae. All take turns in one process, behind one another's backs: ours is a
callback that lets each of the others take as many steps. Times are CPU seconds; ratios are theirs
over ours in a turn, of which medians and quartiles are shown. A turn is a second of ours or more,
and a whole number of the log's intervals, so that each has its share of rows. Images are noise,
16x16, so many that the turn of an epoch is rare, as it is with MNIST. Validation is no part of an
iteration, and is left out on all sides. `--profile` says where the time of ours goes: the ten
functions with the largest shares of their own, and packages, by Python's profiler, which enlarges
small ones.
"""

from __future__ import annotations

import argparse
import cProfile
import math
import os
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
from statistics import median
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from contestants import Step, contestants
from hydra import compose, initialize_config_dir
from machine import keep
from omegaconf import OmegaConf
from ratios import ratio
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
        steps: Of the first turn, which is not counted; of others a multiple.
        turns: After which training ends, behind the first.
        least: Seconds of ours that a turn has, at least.
    """

    def __init__(self, others: dict[str, Step], steps: int, turns: int, least: float) -> None:
        self.others, self.steps, self.left, self.least = others, steps, turns + 1, least
        self.ends = steps
        self.seconds: dict[str, list[float]] = {"ours": [], **{name: [] for name in others}}
        self._began = 0.0

    def on_train_start(self, *_: Any) -> None:
        """Start our first turn."""
        self._began = time.process_time()

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        """End our turn, and let the others have theirs."""
        if module.iterations < self.ends:
            return
        self._keep("ours")
        for name, step in self.others.items():
            for _ in range(self.steps):
                step()
            self._keep(name)
        self.left -= 1
        if self.left == 0:
            trainer.should_stop = True
        if len(self.seconds["ours"]) == 1:
            turn = self.steps * self.seconds["ours"][0]
            self.steps *= max(1, math.ceil(self.least / turn))
        self.ends += self.steps
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

    def shares(self, name: Callable[[str, str], str]) -> list[tuple[str, float, float]]:
        """Calls an iteration and share of the time, without what is called, the largest first.

        Args:
            name: Of what is added up, from a function's file and its name.
        """
        stats: Any = pstats.Stats(self.profile)
        found: dict[str, list[float]] = {}
        for (file, _, function), (_, calls, own, *_) in stats.stats.items():
            row = found.setdefault(name(file, function), [0.0, 0.0])
            row[0] += calls / self.iterations
            row[1] += own / stats.total_tt
        return [(key, *row) for key, row in sorted(found.items(), key=lambda item: -item[1][1])]


def by_function(file: str, function: str) -> str:
    """Each by itself."""
    return f"{Path(file).name}:{function}"


def by_package(file: str, function: str) -> str:
    """What is in no file is built in, torch's operators among them."""
    _, _, inside = file.rpartition("site-packages/")
    if file == "~":
        return "built in"
    if inside != file:
        return inside.split("/")[0]
    return "gen_models" if "gen_models" in Path(file).parts else "Python's library"


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
    data = ["data._target_=noise.Noise", "trust=[noise]", "+data.images=60_000", "+data.size=16"]
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there) / "run"
        folder.mkdir()
        claim(folder)
        run = Run(composed(*chosen, *budget, *data, *options.overrides), folder, kind, "", None)
        watching = watch(run)
        run.trainer.callbacks.append(watching)  # type: ignore[attr-defined]
        run.fit()
    return watching


def measure(kind: str, nets: str, batch: int, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a step of each contestant, turn by turn; and the profile of ours."""

    def turns(run: Run) -> Turns:
        others = contestants(kind, run.model, run.data.train.images, batch)
        if options.only_bare:
            others = {"bare loop": others["bare loop"]}
        return Turns(others, options.steps, options.turns, options.seconds)

    found = trained(kind, nets, batch, options, turns).seconds
    case: dict[str, Any] = {"model": kind, "networks": nets, "batch": batch}
    case["seconds"] = {name: values[1:] for name, values in found.items()}
    if options.profile:
        profiled = trained(kind, nets, batch, options, lambda _: Profiled(2 * options.steps))
        case["profile"] = profiled.shares(by_function)[:10]
        case["packages"] = profiled.shares(by_package)
    return case


def table(cases: list[dict[str, Any]]) -> Table:
    """A row a case, a column a contestant."""
    names = list(dict.fromkeys(name for case in cases for name in case["seconds"]))[1:]
    shown = Table("model", "networks", "batch", "ours, ms", *names)
    for case in cases:
        seconds = case["seconds"]
        ours = seconds["ours"]
        cells = [ratio(seconds[name], ours) if name in seconds else "" for name in names]
        middle = f"{1e3 * median(ours):.2f}"
        shown.add_row(case["model"], case["networks"], str(case["batch"]), middle, *cells)
    return shown


def profile_table(case: dict[str, Any]) -> Table:
    """Where the time of ours goes."""
    title = f"{case['model']}, {case['networks']}, {case['batch']}"
    shown = Table(title, "calls an iteration", "share of the time")
    for rows in case["profile"], case["packages"]:
        for name, calls, share in rows:
            shown.add_row(name, f"{calls:.1f}", f"{share:.1%}")
        shown.add_section()
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
    parser.add_argument("--steps", type=int, default=50, help="of which a turn has a multiple")
    parser.add_argument("--seconds", type=float, default=1, help="of ours that a turn has at least")
    parser.add_argument("--turns", type=int, default=5)
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
        Console(width=200).print(table(cases[-1:]))
        if options.profile:
            Console(width=110).print(profile_table(cases[-1]))
    Console(width=200).print(table(cases))
    keep(options.out, threads=options.threads, cases=cases)


if __name__ == "__main__":
    main()
