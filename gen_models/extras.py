"""Optional packages: how to install them, and that none of them tells anyone of its use."""

from __future__ import annotations

import os

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "WANDB_ERROR_REPORTING": "false",
}
"""What switches off the reports of use and of crashes that packages send by default."""


LAUNCHERS = {"joblib": "sweep", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray"}
"""Hydra's launchers, and the extra that brings each."""


def install(extra: str) -> str:
    """How an extra of this package is installed.

    Example:
        >>> install("export")
        "pip install -e '.[export]'"
    """
    return f"pip install -e '.[{extra}]'"


def keep_private() -> None:
    """Switch the reports off, for this process and those it starts; what the user has set stays."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
