"""What a device could do, and what it did: peaks, counted arithmetic, time without a kernel."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from contestants import gan_by_hand, vae_by_hand
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

Step = Callable[[], Any]

TERA = 1e12
PEAKS = {
    "A100": {"32-true": 156 * TERA, "bf16-mixed": 312 * TERA},
    "H100 PCIe": {"32-true": 378 * TERA, "bf16-mixed": 756 * TERA},
    "H100 NVL": {"32-true": 417.5 * TERA, "bf16-mixed": 835.5 * TERA},
    "H100 80GB HBM3": {"32-true": 494.7 * TERA, "bf16-mixed": 989.4 * TERA},
    "H200 NVL": {"32-true": 417.5 * TERA, "bf16-mixed": 835.5 * TERA},
    "H200": {"32-true": 494.7 * TERA, "bf16-mixed": 989.4 * TERA},
}
"""Dense tensor-core operations a second, TF32 for float32 and bf16, by a part of torch's name.

From NVIDIA's A100 datasheet (2021) and H100 architecture whitepaper (SXM5, PCIe), and from the
product pages of H100 NVL, H200 and H200 NVL, which give rates with sparsity: halved here. Checked
in November 2026 against what others copied from these (Lightning's table for A100, H100 SXM and
PCIe; a table of dense rates of Hopper for H200), but for both NVL. Lightning's own
`get_available_flops` is not asked, because for H200 and H100 NVL it has the rates with sparsity,
twice these. Products of matrices in float32 run at the lower rate of float32 itself, unless
torch.set_float32_matmul_precision allows TF32; convolutions are allowed it.
"""


def peak(name: str, precision: str) -> float | None:
    """Of a device by its name, operations a second; None where it is not known."""
    return next((rates[precision] for part, rates in PEAKS.items() if part in name), None)


def operations(step: Step) -> int:
    """Floating-point operations of the products of matrices and the convolutions in one call.

    A multiplication with its addition counts as two; activations, norms and the optimiser as none.
    """
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def operations_per_image(kind: str, model: Any, batch: int = 4) -> float:
    """Of an iteration by hand, for one real image that it is shown.

    Args:
        kind: "vae" or "gan".
        model: On the CPU; a copy of it is trained.
        batch: Of the iteration; products grow with it in proportion.
    """
    x = torch.zeros(batch, *model.shape)
    by_hand = {"vae": vae_by_hand, "gan": gan_by_hand}[kind]
    step = by_hand(copy.deepcopy(model), iter(lambda: x, None))
    return operations(step) / batch


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """How much of a line the intervals (begin, end) cover together.

    Example:
        >>> covered([(5, 6), (0, 2), (1, 3)])
        4.0
    """
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def watching() -> profile:
    """A profiler that has begun to listen to the GPU."""
    profiler = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
    profiler.start()
    return profiler


def busy(profiler: profile) -> dict[str, float]:
    """What a profiler heard: seconds in which the GPU worked, its kernels, graphs that were begun.

    Copies and fills count as kernels. The profiler slows the CPU down and not the kernels: what a
    GPU idles is to be found with this and with time that was taken without it.
    """
    profiler.stop()
    events = list(profiler.events() or [])
    kernels = [
        (event.time_range.start * 1e-6, event.time_range.end * 1e-6)
        for event in events
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation
    ]
    graphs = sum(event.name == "cudaGraphLaunch" for event in events)
    return {"busy": covered(kernels), "kernels": len(kernels), "graphs": graphs}
