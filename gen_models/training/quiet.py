"""Libraries without what is no news to the user of a run."""

from __future__ import annotations

import logging
import os
import warnings

import torch

NO_NEWS = (
    ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning's own (pytorch-lightning#21326)
    ".*does not have many workers.*",  # the data lie on the device, there is nothing to fetch
    ".*directory .* exists and is not empty.*",  # run folders are taken by one run alone
    ".*The dirpath has changed.*",  # a resumed run has a folder, and a best checkpoint, of its own
    ".*is smaller than the logging interval.*",  # intervals run on over epochs
)


def quiet() -> None:
    """Silence log lines and warnings that are no news to the user of a run."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric", "matplotlib"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in NO_NEWS:
        warnings.filterwarnings("ignore", pattern)


def without_nvml() -> None:
    """Where there is no GPU, keep torch from loading NVIDIA's library to look for one in each step.

    Every step of an optimiser asks whether a GPU records it. Lightning has that asked of NVML, so
    that processes may fork: harmless with a GPU, whose count is kept; without one it took 118 of
    the 203 microseconds that a fused step of twelve small parameters lasts.
    """
    if not torch.cuda.is_available():
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
