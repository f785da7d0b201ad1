"""The one harness: every measurement on every model, what does not apply said in words."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from typing import Any

import numpy
import torch

from gen_models.errors import UsageError, out_of_memory
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.measurement import Measurement
from gen_models.modes import evaluating
from gen_models.records import Value


def evaluate(evidence: Evidence, measurements: Sequence[Measurement]) -> list[Value]:
    """Measure a model; its weights, modes, gradients and all random states stay as they are.

    Args:
        evidence: The model and the data.
        measurements: What to measure, in the order of the report.

    Returns:
        The values; where one does not apply, its `reason` says why. A name stands once, with what
        the first measurement of that name gave, and a warning tells where another gave otherwise.
    """
    given: dict[str, tuple[Measurement, Value]] = {}
    for measurement in measurements:
        other: dict[str, str] = {}
        for value in _values(measurement, evidence):
            first, kept = given.setdefault(value.name, (measurement, value))
            if value != kept:  # a record takes no name twice, and training would be lost for it
                other[value.name] = _called(first)
        if other:
            warnings.warn(
                f"{', '.join(other)}: {_called(measurement)} gives otherwise than "
                f"{', '.join(dict.fromkeys(other.values()))}, which is kept; leave one of them out "
                "(evaluation.measurements.NAME=null)",
                stacklevel=2,
            )
    return [value for _, value in given.values()]


def _values(measurement: Measurement, evidence: Evidence) -> list[Value]:
    reason = missing(measurement, evidence)
    if reason is not None:
        return [replace(v, reason=reason) for v in measurement.blanks(evidence)]
    # Each from the seed: what a measurement says does not depend on those before it.
    with undisturbed(evidence.model, evidence.seed):
        return measured(measurement, evidence)


def _called(measurement: Measurement) -> str:
    """A measurement with its choices, where it says them."""
    return repr(measurement) if is_dataclass(measurement) else type(measurement).__name__


def missing(measurement: Measurement, evidence: Evidence) -> str | None:
    """Why a measurement does not apply; None if it does, as far as can be said beforehand."""
    try:
        # It may look at the decoder, whose batch norm would learn from that in training mode.
        with undisturbed(evidence.model, evidence.seed):
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
        if out_of_memory(error):
            reason = (
                f"out of memory: lower evaluation.samples={evidence.samples}, or its own images"
            )
        warnings.warn(f"{type(measurement).__name__} {reason}", stacklevel=2)
        return [replace(v, reason=reason) for v in measurement.blanks(evidence)]
    return [sound(value) for value in values]


def sound(value: Value) -> Value:
    """The row as it can stand in a record: what does not fit is left out, and the reason given."""
    if value.misfit() is None:
        return value
    bare = replace(value, floor=None, ceiling=None, anchors=())
    misfit = bare.misfit()
    if misfit is None:  # of what was known, not of what was measured
        return bare
    return replace(
        bare,
        value=None,
        low=None,
        high=None,
        interval=None,
        error=None,
        count=None if (value.count or 0) < 0 else value.count,
        reason=misfit,
    )


@contextmanager
def undisturbed(model: Any, seed: int) -> Iterator[None]:
    """Evaluation mode, random states and gradients of its own; all are given back as they were."""
    python, numbers = random.getstate(), numpy.random.get_state()
    parameters = list(model.parameters()) if isinstance(model, torch.nn.Module) else []
    kept = [(p, p.requires_grad, p.grad) for p in parameters]
    with evaluating(model), torch.random.fork_rng(range(torch.cuda.device_count())):
        for parameter in parameters:
            parameter.grad = None  # what is added to would not come back
        for start in (random.seed, numpy.random.seed, torch.manual_seed):
            start(seed)
        try:
            yield
        finally:
            random.setstate(python)
            numpy.random.set_state(numbers)
            for parameter, needed, gradient in kept:
                parameter.requires_grad_(needed)
                parameter.grad = gradient
