"""One run's values as a short table for a terminal of 80 columns."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gen_models.records import Record, Value
from gen_models.records.schema import one_line
from gen_models.reporting.estimates import of_value
from gen_models.reporting.tables import run_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

ARROWS = {"lower": " ↓", "higher": " ↑"}


def print_table(
    record: Record, console: "Console | None" = None, report: Path | None = None
) -> None:
    """Print the values with intervals and units, and where the report lies.

    Args:
        record: Of one run.
        console: Where to print; standard output if None.
        report: The path of report.html, for the last line; left out if None.
    """
    from rich.console import Console
    from rich.table import Table

    console = console or Console()
    reason = f": {record.reason}" if record.reason else ""
    title = _plain(f"{record.model} on {record.data}, seed {record.seed}, {record.status}{reason}")
    console.print(title, style="bold")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Measurement", ratio=5, overflow="fold")
    table.add_column("Value and interval", ratio=5, overflow="fold")
    table.add_column("Unit", ratio=3, overflow="fold")
    shown, others = _first_view(record.values)
    titles = Counter(value.title for value in shown)
    for aspect, rows in run_table(replace(record, values=shown)).parts:
        if aspect:
            table.add_row(_plain(aspect), style="bold")
        for (value,) in (row.values for row in rows):
            # Two protocols of one measurement are told apart by the name, which carries them.
            head = value.title if titles[value.title] == 1 else value.name
            arrow = ARROWS.get(value.better or "", "")
            table.add_row(_plain(head + arrow), *map(_plain, _shown(value)))
    if shown:
        console.print(table)
    if others:
        console.print(_plain(_rest(others)))
    if report:
        console.print(_plain(f"Report: {report}"), soft_wrap=True)


def _plain(text: str) -> "Text":
    """Text that is printed and not obeyed: neither [red] nor the terminal's own escape codes."""
    from rich.text import Text

    return Text(one_line(text, most=10_000))


def _first_view(values: Sequence[Value]) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    """The values without an extractor or by the first that appears, and those by the others."""
    first = next((value.extractor for value in values if value.extractor), None)
    mine = tuple(value for value in values if value.extractor in (None, first))
    return mine, tuple(value for value in values if value not in mine)


def _rest(values: Sequence[Value]) -> str:
    extractors = ", ".join(dict.fromkeys(str(value.extractor) for value in values))
    return f"{len(values)} more value{'s' * (len(values) != 1)} by {extractors} in the report."


def _shown(value: Value) -> tuple[str, str]:
    if value.value is None:
        return f"n/a: {value.reason}", ""
    return str(of_value(value)), value.unit
