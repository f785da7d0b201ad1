"""Where files lie that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def default_folder() -> Path:
    """GEN_MODELS_CACHE, or gen_models in the user's folder for caches."""
    named = os.environ.get("GEN_MODELS_CACHE")
    if named:
        return Path(named)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "gen_models"
