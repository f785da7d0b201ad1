"""How good after how long? `python benchmarks/speed/quality.py data.root=DIR --out DIR/quality`.

Fréchet distance over seconds of training, on MNIST: the default VAE and GAN of `run.py`, the same
VAE on fully connected networks, and pythae's VAE with the networks, the optimiser and the options
that it comes with. All take turns of a second in one process, each with its own clock of CPU
seconds, which stands still while samples are judged and before the first step. Judged alike: as
many samples, by the harness's extractor, against the same test images. Written: OUT.json, OUT.png.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from contestants import Baton, Pausing, Step, by_pythae
from machine import machine
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from training import ENDLESS, composed, on_a_terminal

from gen_models.app import Run
from gen_models.evaluation.evaluate import undisturbed
from gen_models.evaluation.statistics.frechet import Moments, frechet_distance
from gen_models.folders import claim

OURS = {
    "VAE": ["model=vae"],
    "GAN": ["model=gan"],
    "VAE, fully connected": ["model=vae", "model/generator=mlp", "model/trunk=mlp"],
}
PYTHAE = "pythae's VAE"
SECONDS = [1, 2, 4, 8, 15, 30, 60, 120]
SHOWN = [15, 30, 60, 120]

Points = list[list[float]]
"""Of one run: CPU seconds, iterations, distance."""


class Contestant:
    """A way to train, and the seconds that it has had.

    Args:
        step: Makes one iteration; the first, with which training begins, is not counted.
        model: What is trained: `sample(n, generator)` gives pixels, `device` is where it is.
    """

    def __init__(self, step: Step, model: Any) -> None:
        self.step, self.model = step, model
        self.seconds, self.steps = 0.0, 0
        step()

    def train(self, until: float) -> None:
        """Go on until the clock says `until`; the last iteration counts whole."""
        began = time.process_time() - self.seconds
        while self.seconds < until:
            self.step()
            self.steps += 1
            self.seconds = time.process_time() - began


class Pythae(nn.Module):
    """Pythae's VAE with its own networks, 10 latents; an image is the decoder's mean, as ours is.

    Args:
        shape: (C, H, W).
    """

    device = torch.device("cpu")

    def __init__(self, shape: tuple[int, int, int]) -> None:
        from pythae.models import VAE, VAEConfig

        super().__init__()
        self.vae = VAE(VAEConfig(input_dim=shape))

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, C, H, W), in [0, 1]."""
        z = torch.randn(count, self.vae.latent_dim, generator=generator)
        return self.vae.decoder(z)["reconstruction"]


def ours(run: Run) -> Contestant:
    """The training of `run.py`, without validation."""

    def loop(pause: Step) -> None:
        run.trainer.callbacks.append(Pausing(pause))
        run.fit()

    return Contestant(Baton(loop), run.model)


def compared(seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The points of each contestant, what they are measured by, and what training images have."""
    torch.set_num_threads(1)
    on_a_terminal()
    folder = Path(tempfile.mkdtemp())
    runs = {}
    for name in options.models:
        (place := folder / name).mkdir()
        claim(place)
        budget = ["data=mnist", f"seed={seed}", f"max_images={ENDLESS}"]
        config = composed(*OURS[name], *budget, *options.overrides)
        runs[name] = Run(config, place, name, "", None)
    harness, data = next(iter((run.harness, run.data) for run in runs.values()))
    found = {name: ours(run) for name, run in runs.items()}
    torch.manual_seed(seed)
    theirs = Pythae(data.shape)
    found[PYTHAE] = Contestant(by_pythae(theirs.vae, data.train.images, seed=seed), theirs)

    view = harness.evidence(theirs, "test", options.samples, harness.extractors[:1]).views[0]
    real = Moments.of(view.real.features)

    def distance(model: Any) -> float:
        evidence = harness.evidence(model, "test", options.samples, harness.extractors[:1])
        with undisturbed(model, seed):
            fake = evidence.drawn.features[0].features
        return frechet_distance(real, Moments.of(fake))

    made: dict[str, Points] = {name: [] for name in found}
    for second in range(1, max(options.seconds) + 1):
        for name, contestant in found.items():
            contestant.train(second)
            if second in options.seconds:
                score = distance(contestant.model)
                made[name].append([contestant.seconds, contestant.steps, score])
    known = view.features(view.evidence.stand_in("training")).features
    floor = frechet_distance(real, Moments.of(known))
    return {"curves": made, "floor": floor, "extractor": view.extractor.name}


def reached(points: Points, distance: float) -> float:
    """The second at which a curve, straight in logarithms, comes to a distance; inf if never.

    Example:
        >>> round(reached([[1, 0, 100.0], [4, 0, 25.0]], 50), 6)
        2.0
    """
    before: list[float] | None = None
    for point in points:
        if point[2] <= distance:
            if before is None:
                return point[0]
            share = math.log(before[2] / distance) / math.log(before[2] / point[2])
            return math.exp(math.log(before[0]) + share * math.log(point[0] / before[0]))
        before = point
    return math.inf


def spread(values: list[float]) -> str:
    """The mean, and the ends where there are several."""
    ends = f" ({min(values):.4g}-{max(values):.4g})" if len(values) > 1 else ""
    return f"{fmean(values):.4g}{ends}"


def passed(values: list[float]) -> str:
    """The median, and in how many runs, where it is not all."""
    count = sum(map(math.isfinite, values))
    note = "" if count == len(values) else f" ({count} of {len(values)})"
    return f"{median(values):.3g}{note}" if math.isfinite(median(values)) else f"-{note}"


def tables(record: dict[str, Any]) -> list[Table]:
    """The distance at some seconds, and the seconds to some distances: a row a contestant."""
    runs: dict[str, list[Points]] = record["curves"]
    marks = [s for s in record["seconds"] if s in SHOWN or len(record["seconds"]) <= len(SHOWN)]
    places = [record["seconds"].index(mark) for mark in marks]
    first = Table("distance after, seconds", *map(str, marks), "iterations")
    second = Table("seconds until distance", *map(str, record["targets"]))
    for name, seeds in runs.items():
        at = [spread([points[place][2] for points in seeds]) for place in places]
        first.add_row(name, *at, f"{fmean(points[-1][1] for points in seeds):,.0f}")
        second.add_row(
            name, *(passed([reached(p, target) for p in seeds]) for target in record["targets"])
        )
    first.add_section()
    first.add_row("training images", *[""] * (len(marks) - 1), f"{record['floor']:.3g}", "")
    return [first, second]


def picture(record: dict[str, Any], path: Path) -> None:
    """The curves: means, and between the ends over seeds a band."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, seeds in record["curves"].items():
        columns = [[points[i][2] for points in seeds] for i in range(len(record["seconds"]))]
        (line,) = axes.plot(record["seconds"], [fmean(c) for c in columns], label=name, marker=".")
        low, high = [min(c) for c in columns], [max(c) for c in columns]
        axes.fill_between(record["seconds"], low, high, color=line.get_color(), alpha=0.2, lw=0)
    axes.axhline(record["floor"], color="grey", ls=":", lw=1, label="training images")
    axes.set(xscale="log", yscale="log", xlabel="CPU seconds of training")
    axes.set_xticks(record["seconds"], map(str, record["seconds"]), minor=False)
    axes.minorticks_off()
    axes.set_ylabel(f"Fréchet distance, {record['extractor']}")
    axes.legend(fontsize="small", frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, and keep what there is behind each seed."""
    parser = argparse.ArgumentParser(description="Fréchet distance over seconds of training.")
    parser.add_argument("overrides", nargs="*", help="further overrides of ours, as of run.py")
    parser.add_argument("--models", nargs="+", choices=OURS, default=list(OURS))
    parser.add_argument("--seconds", nargs="+", type=int, default=SECONDS)
    parser.add_argument("--targets", nargs="+", type=float, default=[300, 200, 100, 50])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--out", type=Path, help="two files, OUT.json and OUT.png")
    options = parser.parse_args()
    load, runs = [os.getloadavg()[1]], []
    for seed in options.seeds:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            runs.append(pool.submit(compared, seed, options).result())
        load.append(os.getloadavg()[1])
        record = {
            "machine": machine(),
            "load": load,
            "overrides": [o for o in options.overrides if not o.startswith("data.root")],
            "extractor": runs[0]["extractor"],
            "samples": options.samples,
            "seeds": options.seeds[: len(runs)],
            "seconds": options.seconds,
            "targets": options.targets,
            "floor": runs[0]["floor"],
            "curves": {
                name: [run["curves"][name] for run in runs] for name in [*options.models, PYTHAE]
            },
        }
        for table in tables(record):
            Console(width=110).print(table)
        if options.out:
            options.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
            picture(record, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
