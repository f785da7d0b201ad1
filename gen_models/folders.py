"""Run folders: taken by one run alone, and how that run stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gen_models.errors import UsageError
from gen_models.records.files import write_whole


def claim(folder: Path, **told: Any) -> None:
    """Take a run folder for this run alone.

    Args:
        folder: Made if it is not there.
        **told: What those who look into the folder may know of the run before its record is there.

    Raises:
        UsageError: If it holds a run already, or cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (folder / "status.json").open("x") as stream:
            stream.write(json.dumps({"status": "running", **told}))
    except FileExistsError:
        raise UsageError(
            f"{folder} holds a run already: give another folder (hydra.run.dir=DIR, --out DIR)"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None


def write_status(folder: Path, status: str, reason: str | None = None) -> None:
    """Say how the run stands, for those who look into the folder."""
    write_whole(folder / "status.json", json.dumps({"status": status, "reason": reason}) + "\n")
