"""Lightning's metrics.csv, whole at any moment, and whole again where a run goes on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import Logger

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


def write_again(history: Sequence[dict[str, float]], loggers: Sequence[Logger]) -> None:
    """Give the log of a run that goes on the rows up to its checkpoint, and no other.

    A run that was killed may have logged more, which it will log again. Loggers of other programs
    keep what they have.

    Args:
        history: Of the model: "images" and values, one row an interval.
        loggers: Of the trainer.
    """
    for logger in loggers:
        if isinstance(logger, CSVLogger):
            for row in history:
                values: Any = {key: value for key, value in row.items() if key != "images"}
                logger.log_metrics(values, step=int(row["images"]))
            logger.save()
