"""One run's values as a short table for a terminal of 80 columns."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from gen_models.records import Record, Value
from gen_models.reporting.estimates import of_value

if TYPE_CHECKING:
    from rich.console import Console

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
    from rich.text import Text

    console = console or Console()
    reason = f": {record.reason}" if record.reason else ""
    # Text, not markup: a name such as [red] is printed and not obeyed.
    title = Text(f"{record.model} on {record.data}, seed {record.seed}, {record.status}{reason}")
    console.print(title, style="bold")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Measurement", ratio=5, overflow="fold")
    table.add_column("Value and interval", ratio=5, overflow="fold")
    table.add_column("Unit", ratio=3, overflow="fold")
    titles = Counter(value.title for value in record.values)
    for value in record.values:
        # Two protocols of one measurement are told apart by the name, which carries them.
        head = value.title if titles[value.title] == 1 else value.name
        table.add_row(Text(head + ARROWS.get(value.better or "", "")), *map(Text, _shown(value)))
    if record.values:
        console.print(table)
    if report:
        console.print(Text(f"Report: {report}"), soft_wrap=True)


def _shown(value: Value) -> tuple[str, str]:
    if value.value is None:
        return f"n/a: {value.reason}", ""
    return str(of_value(value)), value.unit
