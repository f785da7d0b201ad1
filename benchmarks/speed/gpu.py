"""How fast is training on a GPU? `python benchmarks/speed/gpu.py --out benchmarks/speed/NAME.json`.

One table in less than ten minutes: images a second of a plain loop by hand, of `run.py`'s training,
of the same with compile=default (compiled losses) and compile=reduce-overhead (CUDA graphs). Each
is a process of its own, which trains as it always does and stands still between its turns; all wait
for the GPU before and behind each turn. Ratios are of turns that follow one another, of which the
median and the quartiles are shown. Beside them: the largest difference of a loss from the eager
ones over the first ten iterations, the share of the tensor cores' peak, the share of the time in
which no kernel runs, the GPU's memory; and what evaluation takes of a whole run.

Images are noise, 28x28, so that any batch can be filled. Without a GPU it measures the CPU, in CPU
seconds, where there are neither CUDA graphs nor a peak. What time does not allow is left out, and
said. Needs Hydra, OmegaConf and zuko beside torch and Lightning: benchmarks/speed/README.md says
how to take them along.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import sys
import tempfile
import time
import traceback
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch
from contestants import gan_by_hand, in_memory, vae_by_hand
from device import busy, operations_per_image, peak, watching
from machine import machine
from ratios import ratio
from rich.console import Console
from rich.table import Table
from training import ENDLESS, composed, on_a_terminal

from gen_models.app import Run, run
from gen_models.folders import claim
from gen_models.records import Record

SIDES = {"bare loop": None, "eager": "null", "compiled": "default", "graphs": "reduce-overhead"}
"""What is measured, and the `compile=` of those that are `run.py`'s."""

COMPARED = 10
"""Iterations from the first one on whose losses are compared."""

TOLERANCE = 1e-2
"""Largest relative difference of a loss from the eager one that passes for rounding.

Ten steps of Adam carry rounding on: where TF32 or bfloat16 round, and a game is played, far.
"""

WARM = 20
"""Iterations before the first turn; compilers and CUDA graphs are ready by then."""

PROFILED = 20

PATIENCE = 120
"""Seconds that a side may be silent, compiling included."""


@dataclass(frozen=True)
class Case:
    """One row of the table but for the side.

    Attributes:
        model: "vae" or "gan".
        networks: The name of a generator and of a trunk.
        batch: Images an iteration.
        precision: Lightning's.
        overrides: Further ones, as of `run.py`.
    """

    model: str
    networks: str
    batch: int
    precision: str = "32-true"
    overrides: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """In the data set, with what is held out: so many that the turn of an epoch is rare."""
        return max(65_536, 40 * self.batch)

    def build(self, folder: Path, compile: str | None) -> Run:
        """The parts of `run.py`'s run."""
        claim(folder)
        accelerator = "gpu" if torch.cuda.is_available() else "cpu"
        chosen = [f"model={self.model}", f"trainer={accelerator}", f"compile={compile or 'null'}"]
        networks = [f"model/generator={self.networks}", f"model/trunk={self.networks}"]
        data = [f"data.batch_size={self.batch}", "data._target_=noise.Noise", "trust=[noise]"]
        rest = [f"+data.images={self.images}", f"max_images={ENDLESS}"]
        told = [f"trainer.precision={self.precision}", "trainer.log_every_n_steps=1"]
        every = [*chosen, *networks, *data, *rest, *told, *self.overrides]
        return Run(composed(*every), folder, self.model, "", None)


def now() -> float:
    """Seconds: by the clock with a GPU, behind all that it was given; of this process without."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


class Turns:
    """Lets a loop run in turns, as many steps as the other end of a pipe asks for.

    Args:
        pipe: Numbers of steps come in, 0 for the end, and whether a profiler is to listen; seconds
            go out, or what the profiler heard: seconds in which the GPU worked, and kernels. The
            first are by the clock: compilers are processes of their own.
    """

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.left, self.began = pipe, WARM, 0.0
        self.made: float | None = time.perf_counter()
        self.profiler: Any = None

    def go_on(self) -> bool:
        """Called behind each step; waits where a turn is over. Whether there is to be another."""
        self.left -= 1
        if self.left:
            return True
        seconds = now() - self.began
        if self.made is not None:
            seconds, self.made = time.perf_counter() - self.made, None
        self.pipe.send(seconds if self.profiler is None else busy(self.profiler))
        self.left, profiled = self.pipe.recv()
        self.profiler = watching() if profiled else None
        self.began = now()
        return self.left > 0


class Steps(pl.Callback):
    """`Turns` for a trainer, which logs each of the first losses and then as it always does."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.losses: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        """Count."""
        if module.iterations == COMPARED:
            self.losses = [named_losses(row) for row in module.history]
            trainer.log_every_n_steps = 50  # type: ignore[attr-defined]
        if module.diverged is not None:
            raise RuntimeError(module.diverged)
        if not self.turns.go_on():
            trainer.should_stop = True


def named_losses(row: dict[str, float]) -> dict[str, float]:
    """Of a row of a history, by phase."""
    return {k.split("/")[1]: v for k, v in row.items() if k.endswith("/loss")}


def train(pipe: Connection, side: str, case: Case) -> dict[str, Any]:
    """Train one case in turns until the pipe ends it; what there is to say of it beside seconds."""
    told: dict[str, Any] = {}
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as there:
        (folder := Path(there) / "run").mkdir()
        made = case.build(folder, SIDES[side])
        if side == "bare loop":
            told["operations"] = operations_per_image(case.model, made.model)
            by_hand(made, case, Turns(pipe))
        else:
            steps = Steps(Turns(pipe))
            made.trainer.callbacks.append(steps)
            made.fit()
            told["losses"] = steps.losses
    if torch.cuda.is_available():
        told["memory"] = torch.cuda.max_memory_reserved()
    return told


def by_hand(made: Run, case: Case, turns: Turns) -> None:
    """The plain loop on a run's networks and images."""
    loop = {"vae": vae_by_hand, "gan": gan_by_hand}[case.model]
    device = made.device
    images = made.data.train.images.to(device)
    step = loop(made.model.to(device), in_memory(images, case.batch))
    narrow = case.precision == "bf16-mixed"
    # A cache of weights in bfloat16 would outlive the steps that change them.
    with torch.autocast(device.type, torch.bfloat16, narrow, cache_enabled=False):
        step()
        while turns.go_on():
            step()


def work(pipe: Connection, side: str, threads: int) -> None:
    """One side's process: cases come in until there is none; what was found of each goes out."""
    on_a_terminal()
    torch.set_num_threads(threads)
    while (case := pipe.recv()) is not None:
        try:
            with redirect_stdout(StringIO()):
                found: Any = train(pipe, side, case)
        except Exception:
            found = traceback.format_exc()
        pipe.send(found)


class Side:
    """The near end of a side's process.

    Args:
        name: Of `SIDES`.
        threads: Of its CPU.
    """

    def __init__(self, name: str, threads: int) -> None:
        fresh = multiprocessing.get_context("spawn")
        self.name = name
        self.pipe, far = fresh.Pipe()
        self.process = fresh.Process(target=work, args=(far, name, threads), daemon=True)
        self.process.start()
        far.close()

    def hear(self) -> Any:
        """What comes next.

        Raises:
            RuntimeError: With the trace, if it failed there; if nothing comes.
        """
        if not self.pipe.poll(PATIENCE):
            raise RuntimeError(f"{self.name}: nothing heard for {PATIENCE} seconds")
        try:
            heard = self.pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.name}: its process has ended") from None
        if isinstance(heard, str):
            raise RuntimeError(f"{self.name}: {heard}")
        return heard

    def turn(self, steps: int, profiled: bool = False) -> Any:
        """What so many steps took."""
        self.pipe.send((steps, profiled))
        return self.hear()


def measure(case: Case, sides: list[Side], turns: int, seconds: float) -> dict[str, Any]:
    """One case on all sides, which take turns.

    Args:
        case: Which.
        sides: Processes that wait for a case; the first one's speed says how long a turn is.
        turns: How many, behind one that is not counted.
        seconds: That a turn should take.
    """
    for side in sides:
        side.pipe.send(case)
    ready = {side.name: side.hear() for side in sides}  # compiled side by side
    steps = max(3, min(500, round(seconds / (sides[0].turn(5) / 5))))
    took: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(turns + 1):
        for side in sides:
            took[side.name].append(side.turn(steps) / steps)
    found: dict[str, Any] = {side.name: {"seconds": took[side.name][1:]} for side in sides}
    if torch.cuda.is_available():
        for side in sides:
            heard = side.turn(PROFILED, profiled=True)
            found[side.name] |= {name: value / PROFILED for name, value in heard.items()}
    for side in sides:
        side.pipe.send((0, False))
        found[side.name] |= side.hear() | {"ready_seconds": ready[side.name]}
    told = {"model": case.model, "networks": case.networks, "batch": case.batch}
    return {**told, "precision": case.precision, "sides": found}


def difference(losses: list[dict[str, float]], eager: list[dict[str, float]]) -> float:
    """Largest relative difference of a loss, over phases and iterations; NaN where one is."""
    pairs = zip(losses, eager, strict=True)
    apart = [abs(one[k] - two[k]) / max(1.0, abs(two[k])) for one, two in pairs for k in two]
    return math.nan if any(map(math.isnan, apart)) else max(apart)


def rows(case: dict[str, Any], device: str) -> list[list[str]]:
    """The table's, one a side."""
    sides = case["sides"]
    first = next(iter(sides.values()))
    shown = []
    for name, side in sides.items():
        second = median(side["seconds"])
        best = peak(device, case["precision"])
        per_image = first.get("operations")
        share = per_image and best and per_image * case["batch"] / second / best
        idle = 1 - side["busy"] / second if "busy" in side else None
        apart = None
        if "losses" in side and "eager" in sides and name != "eager":
            apart = difference(side["losses"], sides["eager"]["losses"])
        verdict = "" if apart is None else " ok" if apart <= TOLERANCE else " APART"
        memory = side.get("memory")
        shown.append(
            [
                f"{case['model']} {case['networks']} {case['batch']}",
                name,
                f"{case['batch'] / second:,.0f}",
                ratio(first["seconds"], side["seconds"]),
                cell(share, ".1%"),
                cell(idle, ".0%"),
                cell(side.get("kernels"), ".0f") + replayed(name, side.get("graphs")),
                cell(apart, ".1e") + verdict,
                cell(memory and memory / 2**30, ".2f"),
                f"{side['ready_seconds']:.0f}",
            ]
        )
    return shown


def replayed(name: str, graphs: float | None) -> str:
    """How many CUDA graphs a step starts, where it should: the compiler may leave them out."""
    return f" in {graphs:.0f} graphs" if name == "graphs" and graphs is not None else ""


def cell(value: float | None, form: str) -> str:
    """A number, or n/a."""
    return "n/a" if value is None else format(value, form)


def table(cases: list[dict[str, Any]], device: str) -> Table:
    """All that was measured."""
    columns = ["case", "side", "images/s", "over the bare loop", "of peak", "idle", "kernels/step"]
    shown = Table(*columns, "largest difference", "GiB", "first 20 steps, s", title=device)
    for case in cases:
        for row in rows(case, device):
            shown.add_row(*row)
        shown.add_section()
    return shown


def evaluations(models: list[str], overrides: list[str]) -> dict[str, dict[str, float]]:
    """Seconds of training and of evaluation of whole runs, as `python run.py model=...` makes them.

    Args:
        models: Of which.
        overrides: Further ones.
    """
    found = {}
    for kind in models:
        with tempfile.TemporaryDirectory() as there, redirect_stdout(StringIO()):
            folder = Path(there) / "run"
            began = time.perf_counter()
            run(composed(f"model={kind}", *overrides), folder, kind, "")
            whole = time.perf_counter() - began
            budget = Record.read(folder / "record.json").budget
        told = {"training": budget.training_seconds, "evaluation": budget.evaluation_seconds}
        found[kind] = {**told, "whole": whole}
    return found


def options() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description="Training speed on a GPU.")
    parser.add_argument("overrides", nargs="*", help="further overrides, as of run.py")
    parser.add_argument("--models", nargs="+", default=["vae", "gan"])
    parser.add_argument("--networks", nargs="+", default=["mlp", "conv", "infogan"])
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 512, 8192])
    parser.add_argument("--precision", default="32-true", choices=["32-true", "bf16-mixed"])
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.25, help="that a turn should take")
    parser.add_argument(
        "--minutes", type=float, default=7.0, help="behind whole runs; no case begins after them"
    )
    parser.add_argument("--threads", type=int, default=1, help="of the CPU, for each process")
    parser.add_argument("--no-evaluation", action="store_true", help="leave whole runs out")
    parser.add_argument("--quick", action="store_true", help="the smallest of it, to try it out")
    parser.add_argument("--out", type=Path, help="JSON with all that was measured")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.networks, chosen.batches, chosen.turns = ["mlp"], [64], 3
    return chosen


def measure_all(
    cases: list[Case], names: list[str], chosen: argparse.Namespace, record: dict[str, Any]
) -> None:
    """All cases, into the record; a side that fails costs its case, and the others go on.

    Args:
        cases: In their order.
        names: Of the sides.
        chosen: On the command line.
        record: Kept behind each case, where that is wanted.
    """
    ends = time.monotonic() + 60 * chosen.minutes
    sides: list[Side] = []
    for case in cases:
        name = f"{case.model} {case.networks} {case.batch}"
        if time.monotonic() > ends:
            record["left_out"].append(name)
            continue
        sides = sides or [Side(one, chosen.threads) for one in names]
        try:
            record["cases"].append(measure(case, sides, chosen.turns, chosen.seconds))
        except RuntimeError as error:
            record["failed"].append(f"{name}: {error}")
            print(record["failed"][-1], flush=True)
            for side in sides:
                side.process.terminate()
            sides = []
        else:
            Console(width=150).print(table(record["cases"][-1:], record["machine"]["device"]))
        if chosen.out:
            chosen.out.write_text(json.dumps(record, indent=1) + "\n")
    for side in sides:
        side.pipe.send(None)


def main() -> None:
    """Measure, print, and keep what there is so far behind each case."""
    chosen, console = options(), Console(width=150)
    record: dict[str, Any] = {"machine": machine(), "threads": chosen.threads}
    record |= {"cases": [], "left_out": [], "failed": []}
    if not chosen.no_evaluation:
        short = ["experiment=quick"] if chosen.quick else []
        overrides = [*short, f"trainer.precision={chosen.precision}", *chosen.overrides]
        record["whole_runs"] = evaluations(chosen.models, overrides)
    # Without a GPU there are no CUDA graphs, and the side would be the one before.
    names = [n for n in chosen.sides if n != "graphs" or torch.cuda.is_available()]
    cases = [
        Case(kind, nets, batch, chosen.precision, tuple(chosen.overrides))
        for nets, batch, kind in product(chosen.networks, chosen.batches, chosen.models)
    ]
    measure_all(cases, names, chosen, record)
    console.print(table(record["cases"], record["machine"]["device"]))
    for kind, took in record.get("whole_runs", {}).items():
        share = took["evaluation"] / took["whole"]
        console.print(f"{kind}, whole run {took['whole']:.0f} s: evaluation {share:.0%} of it")
    for told in ("left_out", "failed"):
        if record[told]:
            names = [one.splitlines()[0] for one in record[told]]
            console.print(f"{told.replace('_', ' ')}: {', '.join(names)}")
    sys.exit(1 if record["failed"] else 0)


if __name__ == "__main__":
    main()
