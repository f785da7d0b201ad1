"""How fast are features? `python benchmarks/speed/features.py --out DIR/features.json`.

One table: the extractors that need no download, on noise of their size, 256 images at a time as
evaluation has them, beside copies whose weights lie in torch's own layout. Both take turns in one
process; CPU seconds, medians and quartiles of the copy's over ours. And how far the copy's features
are from ours, relative to the largest.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import keep
from ratios import ratio
from rich.console import Console
from rich.table import Table
from torch import Tensor

from gen_models.evaluation import Extractor, RandomConvolutions, ShippedClassifier

EXTRACTORS = {
    "digits64": (ShippedClassifier, (1, 16, 16), "digits"),
    "mnist64": (ShippedClassifier, (1, 28, 28), "mnist"),
    "random128, grey": (RandomConvolutions, (1, 28, 28), ""),
    "random128, colour": (RandomConvolutions, (3, 32, 32), ""),
}


@torch.no_grad()
def features(extractor: Extractor, images: Tensor) -> Tensor:
    """(N, D) of pixels (N, C, H, W)."""
    return torch.cat([extractor(part).features for part in images.split(256)])


def measure(name: str, images: int, turns: int) -> dict[str, Any]:
    """Seconds of both, turn by turn behind one that is not counted, and how far they are apart."""
    kind, shape, data = EXTRACTORS[name]
    ours = kind(shape, data)
    plain = copy.deepcopy(ours).to(memory_format=torch.contiguous_format)
    pixels = torch.rand(images, *shape, generator=torch.Generator().manual_seed(0))
    found, seconds = {}, {"ours": [], "own layout": []}
    for _ in range(turns + 1):
        for side, extractor in zip(seconds, (ours, plain), strict=True):
            began = time.process_time()
            found[side] = features(extractor, pixels)
            seconds[side].append(time.process_time() - began)
    apart = (found["ours"] - found["own layout"]).abs().max() / found["ours"].abs().max()
    counted = {side: values[1:] for side, values in seconds.items()}
    return {"extractor": name, "images": images, "seconds": counted, "apart": apart.item()}


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description="Features, and what their layout brings.")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON with the seconds of every turn")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cases = [measure(name, options.images, options.turns) for name in EXTRACTORS]
    shown = Table("extractor", "images/s", "torch's own layout over ours", "relative difference")
    for case in cases:
        ours, plain = case["seconds"].values()
        speed = f"{options.images / median(ours):,.0f}"
        shown.add_row(case["extractor"], speed, ratio(plain, ours), f"{case['apart']:.1e}")
    Console(width=110).print(shown)
    keep(options.out, threads=options.threads, cases=cases)


if __name__ == "__main__":
    main()
