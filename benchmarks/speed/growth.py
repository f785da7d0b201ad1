"""How do time and memory grow? `python benchmarks/speed/growth.py --out benchmarks/speed/growth`.

One table, a row an axis: images, pixels, batch, draws of the importance bound, samples of an
evaluation. Each point is a fresh process, one thread; seconds are CPU seconds of what the axis
names, megabytes the most that the process allocates over what imports take; of several rounds the
medians. The exponent is the slope of the logarithms over the upper half of an axis: 1 is linear.
The images are synthetic. Written: OUT.json, in which axes that were not measured again stay, and
OUT.png.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, Unpack

import numpy
import pytorch_lightning as pl
import torch
from machine import machine
from rich.console import Console
from rich.table import Table
from torch import Tensor
from training import ENDLESS, composed

from gen_models.app import Run
from gen_models.data import ImageDataModule, ImageSet, to_bytes
from gen_models.data.options import Options
from gen_models.evaluation import ImportanceWeightedLikelihood, Measurement, evaluate
from gen_models.folders import claim

WARM_UP = 3


@functools.cache
def drawn(count: int, side: int, seed: int) -> Tensor:
    """Images (count, 1, side, side), bytes: a linear map of 16 normal latents, and a sigmoid."""
    weight = torch.randn(16, side * side, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    images = torch.empty(count, 1, side, side, dtype=torch.uint8)
    for part in images.flatten(1).split(1000):
        z = torch.randn(len(part), 16, generator=generator)
        part[:] = to_bytes((z @ weight).div(2).sigmoid())
    return images


class Synthetic(ImageDataModule):
    """Images that need no download.

    Args:
        count: Images for training and validation.
        side: Pixels.
        **options: As in `ImageDataModule`.
    """

    name = "synthetic"

    def __init__(self, count: int, side: int, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.count, self.side = count, side

    def load(self) -> tuple[ImageSet, ImageSet]:
        """Those, and a thousand to measure on."""
        return tuple(ImageSet(drawn(n, self.side, s)) for n, s in ((self.count, 1), (1000, 2)))  # type: ignore[return-value]


class Clock(pl.Callback):
    """Keeps the CPU seconds at which iterations end, and ends training behind so many.

    Args:
        steps: To time; a few come first, and are not.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        """Look at the clock."""
        self.ends.append(time.process_time())
        if len(self.ends) == WARM_UP + self.steps:
            trainer.should_stop = True


def made(*overrides: str, count: int = 4_000, side: int = 16) -> Run:
    """The run of `run.py OVERRIDES` on synthetic images."""
    quiet = ["trainer.enable_progress_bar=false", "evaluation.cache=false", "trust=[growth]"]
    config = composed(*quiet, f"max_images={ENDLESS}", *overrides)
    config.data |= {"_target_": "growth.Synthetic", "count": count, "side": side}
    folder = Path(tempfile.mkdtemp()) / "run"
    folder.mkdir()
    claim(folder)
    return Run(config, folder, "", "", None)


def iterated(run: Run, steps: int) -> float:
    """CPU seconds of an iteration of training, the median."""
    clock = Clock(steps)
    run.trainer.callbacks.append(clock)
    run.fit()
    return median(end - start for start, end in pairwise(clock.ends[WARM_UP - 1 :]))


def set_up(count: int) -> float:
    """Of the data: split, scale, fingerprint; the images are in memory before. Median of five."""
    Synthetic(count, 28).load()
    seconds = []
    for _ in range(5):
        began = time.process_time()
        Synthetic(count, 28).setup()
        seconds.append(time.process_time() - began)
    return median(seconds)


def by_images(count: int) -> float:
    """An iteration of the fully connected VAE, batches of 64."""
    networks = ["model/generator=mlp", "model/trunk=mlp"]
    return iterated(made("model=vae", *networks, count=count, side=28), 100)


def by_pixels(model: str, pixels: int) -> float:
    """An iteration of the convolutional networks, batches of 64."""
    return iterated(made(f"model={model}", side=math.isqrt(pixels)), 16)


def by_batch(model: str, batch: int) -> float:
    """An iteration of the convolutional networks."""
    return iterated(made(f"model={model}", f"data.batch_size={batch}"), max(8, 1024 // batch))


def by_draws(draws: int) -> float:
    """The importance weighted bound of 64 images."""
    bound = ImportanceWeightedLikelihood(observation="own", images=64, draws=draws)
    return evaluated(made("model=vae"), [bound])


def by_samples(measurements: str, training_images: int, samples: int) -> float:
    """An evaluation, of a model that has learned for a while: its samples differ."""
    run = made(
        "model=vae", f"evaluation.samples={samples}", *measurements.split(), count=training_images
    )
    iterated(run, 200)
    return evaluated(run, list(run.harness.measurements.values()))


def evaluated(run: Run, measurements: Sequence[Measurement]) -> float:
    """CPU seconds of some measurements, sampling and features included."""
    harness = run.harness
    began = time.process_time()
    evidence = harness.evidence(run.model, harness.split, harness.samples, harness.extractors)
    values = evaluate(evidence, measurements)
    assert any(value.value is not None for value in values), values[0].reason
    return time.process_time() - began


@dataclass(frozen=True)
class Axis:
    """What grows, and what is timed.

    Attributes:
        unit: Of the sizes.
        sizes: From small to large.
        work: Gives CPU seconds.
    """

    unit: str
    sizes: tuple[int, ...]
    work: Callable[[int], float]


FRECHET = (
    "evaluation/measurements=distances "
    "evaluation.measurements.kernel_distance=null evaluation.measurements.neighbourhoods=null"
)
BATCHES = (32, 128, 256, 1024)
SLOW = "default measurements"
AXES = {
    "set-up of the data": Axis("images", (1_000, 4_000, 15_000, 60_000), set_up),
    "VAE's iteration, data set": Axis("images", (1_000, 4_000, 15_000, 60_000), by_images),
    "VAE's iteration, image": Axis("pixels", (256, 1024, 4096), partial(by_pixels, "vae")),
    "GAN's iteration, image": Axis("pixels", (256, 1024, 4096), partial(by_pixels, "gan")),
    "VAE's iteration, batch": Axis("images a batch", BATCHES, partial(by_batch, "vae")),
    "GAN's iteration, batch": Axis("images a batch", BATCHES, partial(by_batch, "gan")),
    "importance bound": Axis("draws", (1, 16, 64, 256), by_draws),
    "Fréchet distance": Axis(
        "samples", (1_000, 3_000, 10_000, 25_000, 50_000), partial(by_samples, FRECHET, 60_000)
    ),
    SLOW: Axis("samples", (1_000, 2_000, 4_000, 8_000), partial(by_samples, "", 10_000)),
}


def allocated() -> float:
    """What this process has written to of its own memory, MB; of Linux alone.

    Not the whole resident set: of that, pages of libraries come and go as the system likes.
    """
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * resource.getpagesize() / 1e6


def point(name: str, size: int) -> tuple[float, float]:
    """CPU seconds, and the most MB over those of the imports, looked at every 5 ms."""
    torch.set_num_threads(1)
    before, most, done = allocated(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, allocated())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    seconds = AXES[name].work(size)
    done.set()
    watcher.join()
    return seconds, most - before


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of log values over log sizes, by least squares over the upper half of the sizes.

    Args:
        sizes: Ascending, two at least.
        values: One for each, above 0.

    Example:
        >>> round(exponent([1, 10, 100, 1000], [5, 5, 10, 100]), 6)
        1.0
    """
    first = min(len(sizes) // 2, len(sizes) - 2)
    x, y = numpy.log(sizes[first:]), numpy.log(values[first:])
    return float(numpy.polyfit(x, y, 1)[0])


def medians(axis: dict[str, Any], what: str) -> list[float]:
    """Over rounds, one for each size."""
    return [max(median(values), 1e-6) for values in axis[what]]


def table(axes: dict[str, Any]) -> Table:
    """A row an axis."""
    shown = Table("what", "from, to", "CPU seconds", "exponent", "MB over imports", "exponent")
    for name, axis in axes.items():
        sizes, cells = axis["sizes"], []
        for what in ("seconds", "megabytes"):
            values = medians(axis, what)
            cells += [f"{values[0]:.3g}, {values[-1]:.3g}", f"{exponent(sizes, values):.2f}"]
        shown.add_row(name, f"{sizes[0]:,}, {sizes[-1]:,} {axis['unit']}", *cells)
    return shown


def picture(axes: dict[str, Any], path: Path) -> None:
    """A panel an axis, of equal decades for seconds and megabytes; dashed what is linear."""
    from matplotlib.figure import Figure

    columns = 3
    rows = -(-len(axes) // columns)
    figure = Figure(figsize=(3 * columns, 2.2 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels:
        panel.set_axis_off()
    for panel, (name, axis) in zip(panels, axes.items(), strict=False):
        panel.set_axis_on()
        sizes = axis["sizes"]
        shown = {"CPU seconds": medians(axis, "seconds"), "MB": medians(axis, "megabytes")}
        low = min(min(values) / max(values) for values in shown.values()) / 2
        for index, (label, values) in enumerate(shown.items()):
            side = panel.twinx() if index else panel
            side.plot(sizes, values, marker=".", color=f"C{index}")
            side.set(xscale="log", yscale="log", ylim=(low * max(values), 1.5 * max(values)))
            ends = {values[-1], values[0]} if values[-1] > 1.5 * values[0] else {values[-1]}
            side.minorticks_off()
            side.set_yticks(list(ends), [f"{value:.3g}" for value in ends], fontsize=7)
            side.set_ylabel(label, color=f"C{index}", fontsize=8)
        linear = [shown["CPU seconds"][-1] * size / sizes[-1] for size in sizes]
        panel.plot(sizes, linear, ls="--", lw=1, color="grey")
        ticks = [f"{size // 1000}k" if size >= 10_000 else f"{size:,}" for size in sizes]
        panel.set_xticks(sizes, ticks, fontsize=6)
        panel.set_title(name, fontsize=9)
        panel.set_xlabel(axis["unit"], fontsize=8)
    figure.savefig(path, dpi=90)


def measure(axes: dict[str, Any], quick: bool) -> None:
    """Add a round to all axes: a process a point, or, if quick, one for all, and no memory."""
    shared = None if quick else 1
    with ProcessPoolExecutor(1, get_context("forkserver"), max_tasks_per_child=shared) as pool:
        for name, axis in axes.items():
            for place, size in enumerate(axis["sizes"]):
                seconds, megabytes = pool.submit(point, name, size).result()
                axis["seconds"][place].append(seconds)
                axis["megabytes"][place].append(math.nan if quick else megabytes)
                print(f"{name}, {size:,} {axis['unit']}: {seconds:.3g} s, {megabytes:.0f} MB")
            axis["load"].append(os.getloadavg()[1])


def keep(axes: dict[str, Any], out: Path) -> None:
    """Write record and picture; axes of an older record that were not measured again stay."""
    path = out.with_suffix(".json")
    known: dict[str, Any] = {}
    if path.exists():
        known = json.loads(path.read_text())["axes"]
    known |= axes
    record = {
        "machine": machine(),
        "axes": {name: known[name] for name in AXES if name in known},
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
    picture(record["axes"], out.with_suffix(".png"))


def main() -> None:
    """Measure, print, and keep what there is behind each round."""
    parser = argparse.ArgumentParser(description="Growth of time and memory.")
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="two points an axis; nothing is kept")
    parser.add_argument("--out", type=Path, help="two files, OUT.json and OUT.png")
    options = parser.parse_args()
    axes: dict[str, Any] = {}
    for name in options.axes:
        sizes = AXES[name].sizes[: 2 if options.quick else None]
        points: dict[str, Any] = {w: [[] for _ in sizes] for w in ("seconds", "megabytes")}
        if not options.quick or name != SLOW:
            axes[name] = {"unit": AXES[name].unit, "sizes": sizes, **points, "load": []}
    for _ in range(1 if options.quick else options.rounds):
        measure(axes, options.quick)
        Console(width=110).print(table(axes))
        if options.out and not options.quick:
            keep(axes, options.out)


if __name__ == "__main__":
    main()
