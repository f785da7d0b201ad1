"""How fast and how exact are the distances? `python benchmarks/speed/distances.py`.

One table: this package against the libraries in use, from the same features to the same number, in
one process. The contestants of a row take turns, in another order each time, so that a neighbour on
the machine slows all of them; what is shown is the median of *ratios* over the turns. Fakes are
real features moved by a symmetric positive map T and a shift v, so that their Frechet distance,
tr((I - T) C (I - T)) + |v|^2, is known without any matrix root.

Another row is one line in `cases`.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy
import torch
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits  # comes with scikit-learn
from torch import Tensor

from gen_models.evaluation.statistics.frechet import (
    Moments,
    frechet_distance,
    frechet_estimate,
    frechet_unbiased,
)

Number = Callable[[], float]
ENOUGH = 10  # CPU seconds of a row, after which three turns do


def draw(count: int, dimension: int) -> tuple[Tensor, Tensor, float]:
    """Real and fake features (N, D) in float64, and their Frechet distance.

    They have a common offset and are correlated; their deviations fall 30-fold.
    """
    normal = partial(torch.randn, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    basis, other = (torch.linalg.qr(normal(dimension, dimension)).Q for _ in range(2))
    deviations = torch.logspace(0, -1.5, dimension, dtype=torch.float64)
    real = (normal(count, dimension) * deviations) @ basis + 0.5
    change = (other * torch.linspace(-0.3, 0.3, dimension, dtype=torch.float64)) @ other.T
    moved, shift = (real - real.mean(0)) @ change, 0.02 * normal(dimension)
    truth = moved.square().sum() / (count - 1) + shift.square().sum()
    return real, real + moved + shift, truth.item()


def distance(real: Moments, fake: Tensor) -> float:
    """Our Frechet distance."""
    return frechet_distance(real, Moments.of(fake))


def gaussian(features: Tensor) -> tuple[Any, Any]:
    """Mean and covariance as pytorch-fid computes them."""
    return features.numpy().mean(0), numpy.cov(features.numpy(), rowvar=False)


def by_root(real: Callable[[], tuple[Any, Any]], fake: Tensor) -> float:
    """The formula as pytorch-fid, clean-fid and others compute it, by scipy's matrix root."""
    from scipy.linalg import sqrtm

    (mean, covariance), (other_mean, other) = real(), gaussian(fake)
    common = numpy.trace(sqrtm(covariance @ other).real)
    shift = mean - other_mean
    return float(shift @ shift + numpy.trace(covariance) + numpy.trace(other) - 2 * common)


def by_torch_fidelity(real: Tensor, fake: Tensor) -> float:
    """The distance as torch-fidelity gives it."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    both = [fid_features_to_statistics(features) for features in (real, fake)]
    return float(fid_statistics_to_metric(*both, verbose=False)["frechet_inception_distance"])


class Identity(torch.nn.Identity):
    """Features for images, as torchmetrics takes an extractor."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.num_features = dimension


def by_torchmetrics(name: str, real: Tensor, fake: Tensor, **options: Any) -> float:
    """What a metric of `torchmetrics.image` gives."""
    import torchmetrics.image

    metric = getattr(torchmetrics.image, name)(feature=Identity(real.shape[1]), **options)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return float(torch.as_tensor(metric.compute()).flatten()[0])


def pairwise(real: Tensor, fake: Tensor) -> float:
    """Our kernel distance, precision, recall, density and coverage; the first is given back."""
    from gen_models.evaluation.statistics.kernel import kernel_distance
    from gen_models.evaluation.statistics.neighbours import coverage, density, precision, recall
    from gen_models.evaluation.statistics.pairs import Pairs

    pairs = Pairs.of(real=real, fake=fake)
    for function in (precision, recall, density, coverage):
        function(pairs)
    return kernel_distance(pairs).value


def pairwise_by_libraries(real: Tensor, fake: Tensor) -> float:
    """The same by torchmetrics, whose KID is of 100 subsets of 1000, and prdc at k = 5."""
    from prdc import compute_prdc

    size = min(1000, len(real))
    with open(os.devnull, "w") as no, redirect_stdout(no), redirect_stderr(no):  # both talk
        compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
        return by_torchmetrics("KernelInceptionDistance", real, fake, subset_size=size)


class Case(NamedTuple):
    """One row: what is computed, our way, the others' by name, and the number if it is known."""

    title: str
    ours: Number
    others: Mapping[str, Number]
    truth: float | None = None


def cases(real: Tensor, fake: Tensor, truth: float) -> Iterator[Case]:
    """All rows of the table."""
    moments, known = Moments.of(real), gaussian(real)
    stored = {"scipy sqrtm": partial(by_root, lambda: known, fake)}
    frechet = {
        "scipy sqrtm": partial(by_root, lambda: gaussian(real), fake),
        "torchmetrics": partial(by_torchmetrics, "FrechetInceptionDistance", real, fake),
        "torch-fidelity": partial(by_torch_fidelity, real, fake),
    }
    both = real.float(), fake.float()
    libraries = {"torchmetrics + prdc": partial(pairwise_by_libraries, *both)}
    estimate = partial(frechet_estimate, real=moments, fake=fake)
    unbiased = partial(frechet_unbiased, real=moments, fake=fake)

    yield Case("Frechet distance", lambda: distance(Moments.of(real), fake), frechet, truth)
    yield Case("  real moments stored", lambda: distance(moments, fake), stored, truth)
    yield Case("  and standard error (ours alone)", lambda: estimate().value, stored, truth)
    if len(fake) // 2 > fake.shape[1]:
        yield Case("  and unbiased (ours alone)", lambda: unbiased().value, stored)
    yield Case("KID + precision, recall, density, coverage", partial(pairwise, *both), libraries)


class Turn(NamedTuple):
    """One computation: CPU seconds of the process, seconds, and what it gave."""

    processor: float
    wall: float
    value: float


def timed(number: Number) -> Turn:
    """Take a turn."""
    processor, wall, value = time.process_time(), time.perf_counter(), number()
    return Turn(time.process_time() - processor, time.perf_counter() - wall, value)


def compared(case: Case, repeats: int) -> Iterator[list[str]]:
    """A line for each other contestant: CPU seconds, ratios of CPU and wall, errors."""
    contestants = [("ours", case.ours), *case.others.items()]
    turns: dict[str, list[Turn]] = {name: [] for name, _ in contestants}
    start = time.process_time()
    for repeat in range(repeats):
        if repeat >= 3 and time.process_time() - start > ENOUGH:
            break
        first = repeat % len(contestants)
        for name, number in contestants[first:] + contestants[:first]:
            turns[name].append(timed(number))
    ours = turns.pop("ours")

    def error(turn: Turn) -> str:
        return "" if case.truth is None else f"{abs(turn.value / case.truth - 1):.0e}"

    seconds = statistics.median(turn.processor for turn in ours)
    for name, theirs in turns.items():
        pairs = list(zip(theirs, ours, strict=True))
        processor = statistics.median(a.processor / b.processor for a, b in pairs)
        wall = statistics.median(a.wall / b.wall for a, b in pairs)
        numbers = [f"{seconds:.3g}", f"{processor:.2f}", f"{wall:.2f}"]
        yield [case.title, name, *numbers, error(ours[0]), error(theirs[0])]


def speed(dimension: int, count: int, repeats: int) -> None:
    """Print the table of one size."""
    columns = ("what", "against", "ours, CPU s", "CPU ratio", "wall ratio", "our error", "theirs")
    table = Table(*columns, title=f"D = {dimension}, N = {count} each; ratios: theirs over ours")
    for case in cases(*draw(count, dimension)):
        try:
            for line in compared(case, repeats):
                table.add_row(*line)
        except ImportError as error:
            table.add_row(case.title, f"not installed: {error.name}")
    Console(width=132).print(table)


def footprint(dimension: int, count: int) -> tuple[float, float]:
    """Peak memory of this process in GB, with the features alone and after all our distances."""

    def peak() -> float:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9

    real, fake, _ = draw(count, dimension)
    real, fake = real.float(), fake.float()
    before = peak()
    frechet_estimate(real=Moments.of(real), fake=fake)
    frechet_unbiased(real=Moments.of(real), fake=fake)
    pairwise(real, fake)
    return before, peak()


def main() -> None:
    """Read the options and print what they ask for."""
    parser = argparse.ArgumentParser(description="Speed and exactness of the distances.")
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds in all")
    parser.add_argument("--memory", action="store_true", help="peak memory, not speed")
    parser.add_argument("--repeats", type=int, default=15, help="turns each at most; 15")
    parser.add_argument("--threads", type=int, default=1, help="of all libraries; 1 by default")
    options = parser.parse_args()
    if options.memory:
        size = (64, 5_000 if options.quick else 50_000)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            before, after = pool.submit(footprint, *size).result()
        print(
            f"D = {size[0]}, N = {size[1]}: {before:.2f} GB with the features, {after:.2f} at most"
        )
        return
    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        for size in [(64, 2_000), (256, 600)] if options.quick else [(64, 10_000), (2048, 5_000)]:
            speed(*size, options.repeats)


if __name__ == "__main__":
    main()
