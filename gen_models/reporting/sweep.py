"""The end of a Hydra sweep: its comparison, without a command of its own."""

import atexit
import os
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class SweepReport(Callback):
    """Writes the comparison of all runs of a sweep into the sweep's folder.

    Put it into the configuration as `hydra.callbacks.report._target_`. Hydra leaves out
    `on_multirun_end` when a job has raised, so the report is then written when Python exits: a
    sweep with one broken seed still ends in a comparison of the others, and keeps its own error.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember the sweep's folder, in case a job raises."""
        # Absolute, because a job may change the working directory.
        self._folder = Path(config.hydra.sweep.dir).absolute()
        atexit.register(self._at_exit)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write the comparison and print one line that says where it lies."""
        folder = self._folder or Path(config.hydra.sweep.dir).absolute()
        self._forget()
        print(compare(folder))

    def _at_exit(self) -> None:
        # A sweep whose very first configuration was wrong has no folder, and nothing to compare.
        if self._folder and os.path.isdir(self._folder):
            print(compare(self._folder))

    def _forget(self) -> None:
        self._folder = None
        atexit.unregister(self._at_exit)


def compare(folder: Path) -> str:
    """Compare the runs below a folder.

    Returns:
        One line: where the report lies, or why there is none. Nothing is raised, because this runs
        after a sweep whose own error is the one to be seen.
    """
    # Late, so that a configuration that names this module costs no matplotlib.
    from gen_models.reporting.report import find_runs, write_comparison
    from gen_models.reporting.runs import Run, read_run

    try:
        runs = find_runs(folder)
        if not any(isinstance(read_run(run), Run) for run in runs):
            return f"No comparison: none of {len(runs)} run folders in {folder} has a record."
        return f"Comparison of {len(runs)} runs: {write_comparison(folder, runs)}"
    except Exception as error:
        return f"No comparison of {folder}: {type(error).__name__}: {error}"
