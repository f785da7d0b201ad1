"""Libraries without what is no news to the user of a run."""

from __future__ import annotations

import logging
import warnings

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
