"""Lightning's metrics.csv, whole at any moment, and whole again where a run goes on."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from gen_models.records import write_whole


class MetricsLog(CSVLogger):
    """Lightning's CSV logger, whose file a kill cannot cut short."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """What writes the file."""
        if self._experiment is None:
            self._experiment = _Writer(log_dir=self.log_dir)
        return self._experiment


class _Writer(ExperimentWriter):
    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        """Name the columns anew in one go: Lightning empties the file first."""
        path = Path(self.metrics_file_path)
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        text = StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=fieldnames)
        writer.writeheader()
        writer.writerows(rows)
        write_whole(path, text.getvalue())
