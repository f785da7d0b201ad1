"""What does `ToGrey` bring? `python benchmarks/speed/last_layer.py --out DIR/last_layer.json`.

One table: the last layer of the default generators for grey images, beside torch's own transposed
convolution of the same weights on the same features, both channels last; forward alone, and with
the gradients of features and weights. Both take turns in one process; CPU seconds, medians and
quartiles of torch's over ours. And how far torch's images are from ours, relative to the largest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import keep
from ratios import ratio
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from gen_models.networks.layers import ToGrey

SIDES = 8, 14
"""Of the grids that become images of 16 x 16 and 28 x 28."""

Pass = Callable[[nn.Module, Tensor], object]


@torch.no_grad()
def forward(layer: nn.Module, x: Tensor) -> Tensor:
    """Images alone."""
    return layer(x)


def backward(layer: nn.Module, x: Tensor) -> object:
    """Images, and the gradients of features and weights."""
    return torch.autograd.grad(layer(x).sum(), (x, *layer.parameters()))


def seconds(made: Pass, layer: nn.Module, x: Tensor, times: int = 10) -> float:
    """CPU seconds of one."""
    began = time.process_time()
    for _ in range(times):
        made(layer, x)
    return (time.process_time() - began) / times


def measure(side: int, batch: int, turns: int) -> dict[str, Any]:
    """Seconds of both, turn by turn behind one that is not counted, and how far they are apart."""
    torch.manual_seed(0)
    layout = {"memory_format": torch.channels_last}
    ours, torchs = ToGrey(32), nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1)
    torchs.load_state_dict(ours.state_dict())
    layers = {"ours": ours.to(**layout), "torch's": torchs.to(**layout)}
    x = torch.randn(batch, 32, side, side).to(**layout).requires_grad_()
    images = {name: forward(layer, x) for name, layer in layers.items()}
    apart = (images["ours"] - images["torch's"]).abs().max() / images["ours"].abs().max()
    case: dict[str, Any] = {"side": 2 * side, "batch": batch, "apart": apart.item()}
    for kind in (forward, backward):
        taken: dict[str, list[float]] = {name: [] for name in layers}
        for _ in range(turns + 1):
            for name, layer in layers.items():
                taken[name].append(seconds(kind, layer, x))
        case[kind.__name__] = {name: values[1:] for name, values in taken.items()}
    return case


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description="The last layer to one channel.")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON with the seconds of every turn")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = list(product(SIDES, (64, 128, 512)))
    cases = [measure(side, batch, options.turns) for side, batch in sizes]
    shown = Table(
        "images", "batch", "ours, ms", "torch's over ours", "with gradients", "ratio", "apart"
    )
    for case in cases:
        kinds = case["forward"], case["backward"]
        cells = [(f"{1e3 * median(k['ours']):.2f}", ratio(k["torch's"], k["ours"])) for k in kinds]
        size = f"{case['side']} x {case['side']}"
        shown.add_row(size, str(case["batch"]), *cells[0], *cells[1], f"{case['apart']:.0e}")
    Console(width=110).print(shown)
    keep(options.out, threads=options.threads, cases=cases)


if __name__ == "__main__":
    main()
