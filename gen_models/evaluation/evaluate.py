"""The one harness: every measurement on every model, what does not apply said in words."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from gen_models.errors import UsageError
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.measurement import Measurement
from gen_models.modes import evaluating
from gen_models.records import Value


def evaluate(evidence: Evidence, measurements: Sequence[Measurement]) -> list[Value]:
    """Measure a model; its weights, buffers, modes and the global random state stay as they are.

    Args:
        evidence: The model and the data.
        measurements: What to measure, in the order of the report.

    Returns:
        The values; where one does not apply, its `reason` says why.
    """
    values: list[Value] = []
    for measurement in measurements:
        reason = missing(measurement, evidence)
        if reason is not None:
            values += [replace(v, reason=reason) for v in measurement.blanks(evidence)]
            continue
        # Each from the seed: what a measurement says does not depend on those before it.
        with undisturbed(evidence.model, evidence.seed):
            values += measured(measurement, evidence)
    return values


def missing(measurement: Measurement, evidence: Evidence) -> str | None:
    """Why a measurement does not apply; None if it does, as far as can be said beforehand."""
    try:
        return measurement.missing(evidence)
    except UsageError as error:
        return str(error)


def measured(measurement: Measurement, evidence: Evidence) -> list[Value]:
    """The values; one that cannot be had says why, and costs the others nothing."""
    try:
        values = measurement.measure(evidence)
    except UsageError as error:
        return [replace(v, reason=str(error)) for v in measurement.blanks(evidence)]
    except Exception as error:  # a defect, of ours or of a user's part: training is not lost for it
        reason = f"failed: {type(error).__name__}: {' '.join(str(error).split())}"
        warnings.warn(f"{type(measurement).__name__} {reason}", stacklevel=2)
        return [replace(v, reason=reason) for v in measurement.blanks(evidence)]
    return [v if finite(v) else lost(v) for v in values]


def finite(value: Value) -> bool:
    """Whether the number and its interval can stand in a record."""
    return all(math.isfinite(x) for x in (value.value, value.low, value.high) if x is not None)


def lost(value: Value) -> Value:
    """The row without its number."""
    return replace(value, value=None, low=None, high=None, interval=None, reason="not finite")


@contextmanager
def undisturbed(model: Any, seed: int) -> Iterator[None]:
    """Evaluation mode and a random state of its own; both are given back as they were."""
    with evaluating(model), torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
