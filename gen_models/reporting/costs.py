"""The table of what each model was given and what it took."""

from collections.abc import Sequence

from gen_models.records import Record
from gen_models.reporting.cells import Cell, Row, Table
from gen_models.reporting.estimates import Estimate, over_seeds
from gen_models.reporting.groups import Group


def cost_table(groups: Sequence[Group]) -> Table:
    """What each model was given and what it took, over its finished runs."""
    costs = [[_costs(record) for record in group.records] for group in groups]
    names = dict.fromkeys(name for members in costs for cost in members for name in cost)
    rows = [
        Row(Cell(name), tuple(_cost([cost[name] for cost in m if name in cost]) for m in costs))
        for name in names
    ]
    columns = (Cell("Cost"), *(Cell(group.label, (group.count,)) for group in groups))
    return Table(
        "Budget and cost. Seconds: mean and 95 % Student-t interval over seeds where there are"
        " several.",
        columns,
        tuple(rows),
    )


def _costs(record: Record) -> dict[str, float]:
    budget = record.budget
    trained = {
        "Images seen": budget.images_seen,
        "Iterations": budget.iterations,
        "Training, seconds": budget.training_seconds,
    }
    return {
        # Samples from elsewhere were trained on nobody here knows what.
        **(trained if budget.images_seen else {}),
        "Evaluation, seconds": budget.evaluation_seconds,
        **{f"Parameters, {name}": count for name, count in record.parameters.items()},
    }


def _cost(numbers: Sequence[float]) -> Cell:
    if not numbers:
        return Cell("none")
    estimate = over_seeds(numbers) if len(numbers) > 1 else Estimate(numbers[0])
    return Cell(str(estimate), (), estimate)
