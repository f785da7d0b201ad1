"""What a benchmark was run on, and its record."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch


def processor() -> str:
    """Its name, where the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine() -> dict[str, Any]:
    """Hardware, its load over the last five minutes, and versions."""
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else processor(),
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[1] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "pytorch-lightning": pl.__version__,
    }


def keep(out: Path | None, **contents: Any) -> None:
    """Write the record of what was measured on this machine, where a place is given for it."""
    if out is not None:
        out.write_text(json.dumps({"machine": machine(), **contents}, indent=1) + "\n")
