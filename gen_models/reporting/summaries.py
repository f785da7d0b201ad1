"""A model's cell in a table: its number over seeds or over samples, or why there is none."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev

from gen_models.records import Value
from gen_models.records.quantities import quantity_of
from gen_models.reporting.cells import Cell, Row
from gen_models.reporting.estimates import Estimate, number, of_value, over_seeds, percentage
from gen_models.reporting.groups import Group
from gen_models.reporting.likeness import alike, apart, like
from gen_models.reporting.verdicts import differing

WAY = " from floor to ceiling"


def summary(values: Sequence[Value], group: Group, row: Sequence[Value]) -> Cell:
    """One model's cell: over seeds where several have the value, else with the value's interval.

    Args:
        values: Of the model's runs.
        group: The model.
        row: The values of all models; floors and ceilings of those that were measured like this
            one's are its ruler.
    """
    numbered = [value for value in values if value.value is not None]
    if not group.finished:
        return Cell(f"n/a: no finished run ({len(group.unfinished)} did not finish)", missing=True)
    if not numbered:
        return absent(values)
    present = alike(numbered)
    if not present:
        fields = ", ".join(differing(numbered))
        return Cell(f"n/a: the seeds differ in {fields}", missing=True)
    numbers = [value.value for value in present if value.value is not None]
    several = len(numbers) > 1
    estimate = _possible(over_seeds(numbers), row[0].name) if several else of_value(present[0])
    lacking = len(group.finished) - len(present)
    otherwise = [apart(value, present[0]) for value in numbered if value not in present]
    short = f"{lacking} of {len(group.finished)} runs {_why(values, otherwise)}" if lacking else ""
    estimate = replace(estimate, ruler=ruler(like(present[0], row)))
    stands, doubts = standing(estimate, row), _deviations(present)
    told = "between seeds {}, within a run {}".format(*doubts) if doubts else ""
    brief = "seeds {}, run {}".format(*doubts) if doubts else ""
    return Cell(
        str(estimate),
        tuple(filter(None, (estimate.basis, stands, told, short))),
        estimate,
        brief=" · ".join(filter(None, (stands.removesuffix(WAY), brief, short))),
    )


def _possible(estimate: Estimate, name: str) -> Estimate:
    """With an interval that ends where the numbers of a name do: Student's t knows no such end."""
    bounds = quantity_of(name)
    if not bounds or estimate.low is None or estimate.high is None:
        return estimate
    low, high = max(estimate.low, bounds.least), min(estimate.high, bounds.most)
    return replace(estimate, low=low, high=high)


def absent(values: Sequence[Value]) -> Cell:
    """The cell in place of a number: the reasons why there is none."""
    return Cell(_why(values), missing=True)


def _why(values: Sequence[Value], otherwise: Sequence[str] = ()) -> str:
    reasons = dict.fromkeys([*(value.reason for value in values if value.reason), *otherwise])
    return f"n/a: {'; '.join(reasons) or 'not measured'}"


def _deviations(values: Sequence[Value]) -> tuple[str, str] | None:
    """What another seed changes, and what another draw of samples would: two doubts, told apart.

    The first is the standard deviation of the values; the second is the root mean square of the
    runs' standard errors. Neither holds the other: all seeds share the test images and, by default,
    evaluation's draws.
    """
    numbers = [value.value for value in values if value.value is not None]
    errors = [value.error for value in values if value.error is not None]
    if len(numbers) < 2 or len(errors) < len(numbers):
        return None
    within = math.sqrt(fmean(error**2 for error in errors))
    return number(stdev(numbers), 2), number(within, 2)


def ruler(values: Sequence[Value]) -> tuple[float, float] | None:
    """The values' mean floor and mean ceiling, where both are and lie apart.

    None of memorisation: from held-out images to copies no way leads to better or worse.
    """
    if any(other.aspect == "memorisation" for other in values):
        return None
    floors = [other.floor.value for other in values if other.floor]
    ceilings = [other.ceiling.value for other in values if other.ceiling]
    if not floors or not ceilings or fmean(floors) == fmean(ceilings):
        return None
    floor, ceiling = fmean(floors), fmean(ceilings)
    # Where noise scores better than real data, they are no ends to stand between.
    if (ceiling > floor) == (values[0].better == "higher") and values[0].better:
        return None
    return floor, ceiling


def standing(estimate: Estimate, values: Sequence[Value]) -> str:
    """The way in words, for values with an aspect; of others a sentence tells."""
    told = any(other.aspect for other in values)
    return "" if estimate.way is None or not told else f"{percentage(estimate.way)}{WAY}"


def say_basis_once(rows: Sequence[Row]) -> tuple[str, list[Row]]:
    """Say in the caption what the intervals are over where all cells agree, else in each cell."""
    bases = {cell.estimate.basis for row in rows for cell in row.cells if cell.estimate}
    if len(bases) != 1:
        return "Value and 95 % interval; under each, what the interval is taken over.", list(rows)
    (basis,) = bases
    said = {
        "no interval": "One run per model, without intervals.",
        "over samples": "One run per model; the interval is the run's own, over samples.",
    }.get(basis, f"Mean and 95 % Student-t interval {basis}.")
    return said, [
        replace(row, cells=tuple(replace(cell, notes=_without(cell, basis)) for cell in row.cells))
        for row in rows
    ]


def _without(cell: Cell, basis: str) -> tuple[str, ...]:
    return tuple(note for note in cell.notes if not (cell.estimate and note == basis))
