"""How fast and how exact are the distances? `python benchmarks/speed/distances.py`.

One table: this package against the libraries in use, from the same features to the same number, in
one process. All contestants take turns, in another order each time, so that a neighbour on the
machine slows all of them; what is shown is the median of *ratios* over the turns. Fakes are
real features moved by a symmetric positive map T and a shift v, so that their Frechet distance,
tr((I - T) C (I - T)) + |v|^2, is known without any matrix root. Another contestant is one line in
`contestants`, another row one in `ROWS`.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy
import torch
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits  # comes with scikit-learn
from torch import Tensor

from gen_models.evaluation.statistics import frechet
from gen_models.evaluation.statistics.moments import Moments

Number = Callable[[], float]
ENOUGH = 60  # CPU seconds, after which three turns do


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
    return frechet.frechet_distance(real, Moments.of(fake))


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
    from torch_fidelity import metric_fid as fid

    both = [fid.fid_features_to_statistics(features) for features in (real, fake)]
    return float(fid.fid_statistics_to_metric(*both, verbose=False)["frechet_inception_distance"])


class Identity(torch.nn.Identity):
    """Features for images, as torchmetrics takes an extractor."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.num_features = dimension


def by_torchmetrics(name: str, real: Tensor, fake: Tensor, **options: Any) -> float:
    """Its Frechet or kernel distance, by that name."""
    from torchmetrics import image

    kind = getattr(image, f"{name}InceptionDistance")
    metric = kind(feature=Identity(real.shape[1]), **options)
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


def by_prdc(real: Tensor, fake: Tensor) -> float:
    """Precision, recall, density and coverage by their authors' package, all at k = 5."""
    from prdc import compute_prdc

    return float(compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)["precision"])


def contestants(real: Tensor, fake: Tensor) -> dict[str, Number]:
    """All that is timed, by name."""
    moments, known = Moments.of(real), gaussian(real)
    half = real.float(), fake.float()
    return {
        "Frechet": lambda: distance(Moments.of(real), fake),
        "Frechet, stored": lambda: distance(moments, fake),
        "Frechet, error": lambda: frechet.frechet_estimate(real=moments, fake=fake).value,
        "pairs": partial(pairwise, *half),
        "scipy sqrtm": partial(by_root, lambda: gaussian(real), fake),
        "scipy sqrtm, stored": partial(by_root, lambda: known, fake),
        "torchmetrics FID": partial(by_torchmetrics, "Frechet", real, fake),
        "torch-fidelity FID": partial(by_torch_fidelity, real, fake),
        "torchmetrics KID": partial(
            by_torchmetrics, "Kernel", *half, subset_size=min(1000, len(real))
        ),
        "prdc": partial(by_prdc, *half),
    }


# What is computed, by which contestants of ours, and by which others.
ROWS = [
    ("Frechet distance", ["Frechet"], ["scipy sqrtm"]),
    ("Frechet distance", ["Frechet"], ["torchmetrics FID"]),
    ("Frechet distance", ["Frechet"], ["torch-fidelity FID"]),
    ("  real moments stored", ["Frechet, stored"], ["scipy sqrtm, stored"]),
    ("  and standard error (ours alone)", ["Frechet, error"], ["scipy sqrtm, stored"]),
    ("KID, by the pass over pairs", ["pairs"], ["torchmetrics KID"]),
    ("PRDC, by the same pass", ["pairs"], ["prdc"]),
    ("KID + PRDC, by the same pass", ["pairs"], ["torchmetrics KID", "prdc"]),
    ("all", ["Frechet", "pairs"], ["scipy sqrtm", "torchmetrics KID", "prdc"]),
]


class Turn(NamedTuple):
    """One computation: CPU seconds of the process, seconds, and what it gave."""

    processor: float
    wall: float
    value: float


def timed(number: Number) -> Turn:
    """Take a turn; torchmetrics warns and prdc talks."""
    with open(os.devnull, "w") as no, redirect_stdout(no), redirect_stderr(no):
        processor, wall, value = time.process_time(), time.perf_counter(), number()
    return Turn(time.process_time() - processor, time.perf_counter() - wall, value)


def taken(numbers: Mapping[str, Number], repeats: int) -> dict[str, list[Turn]]:
    """The turns of all contestants; those whose package is missing take none."""
    turns: dict[str, list[Turn]] = {name: [] for name in numbers}
    names, end = list(numbers), time.process_time() + ENOUGH
    for repeat in range(repeats):
        if repeat >= 3 and time.process_time() > end:
            break
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            with suppress(ImportError):
                turns[name].append(timed(numbers[name]))
    return turns


def line(
    title: str, ours: list[str], theirs: list[str], turns: Mapping[str, list[Turn]], truth: float
) -> list[str]:
    """CPU seconds, ratios of CPU and wall, errors of what is a Frechet distance."""
    if not all(turns[name] for name in theirs):
        return [title, f"{' + '.join(theirs)}: not installed"]
    a, b = (
        [[sum(parts) for parts in zip(*turn, strict=True)] for turn in zip(*runs, strict=True)]
        for runs in ([turns[name] for name in names] for names in (ours, theirs))
    )
    numbers = [statistics.median(turn[0] for turn in a)]
    for clock in (0, 1):
        numbers.append(statistics.median(y[clock] / x[clock] for x, y in zip(a, b, strict=True)))
    cells = [title, " + ".join(theirs), *(f"{number:.3g}" for number in numbers)]
    if ours[-1].startswith("Frechet"):
        cells += [f"{abs(side[0][2] / truth - 1):.0e}" for side in (a, b)]
    return cells


def speed(dimension: int, count: int, repeats: int) -> None:
    """Print the table of one size."""
    columns = ("what", "against", "ours, CPU s", "CPU ratio", "wall ratio", "our error", "theirs")
    table = Table(*columns, title=f"D = {dimension}, N = {count} each; ratios: theirs over ours")
    real, fake, truth = draw(count, dimension)
    turns = taken(contestants(real, fake), repeats)
    for row in ROWS:
        table.add_row(*line(*row, turns, truth))
    Console(width=140).print(table)


def footprint(dimension: int, count: int) -> tuple[float, float]:
    """Peak memory of this process in GB, with the features alone and after all our distances."""

    def peak() -> float:
        unit = 1e-9 if sys.platform == "darwin" else 1024e-9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    real, fake, _ = draw(count, dimension)
    real, fake = real.float(), fake.float()
    before = peak()
    frechet.frechet_estimate(real=Moments.of(real), fake=fake)
    frechet.frechet_unbiased(real=Moments.of(real), fake=fake)
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
        print(f"D = {size[0]}, N = {size[1]}: {before:.2f} GB to draw, {after:.2f} at most")
        return
    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        for size in [(64, 2_000), (256, 600)] if options.quick else [(64, 10_000), (2048, 5_000)]:
            speed(*size, options.repeats)


if __name__ == "__main__":
    main()
