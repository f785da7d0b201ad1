"""The report of one run: one HTML page for a browser, Markdown beside it."""

from pathlib import Path
from typing import Any

from gen_models.records import Record
from gen_models.records.files import write_whole
from gen_models.reporting import markdown, words
from gen_models.reporting.cells import Table
from gen_models.reporting.comparison import write_comparison
from gen_models.reporting.estimates import number
from gen_models.reporting.images import Gallery, run_gallery
from gen_models.reporting.outline import outline
from gen_models.reporting.pages import protocols, render
from gen_models.reporting.plots import run_plots
from gen_models.reporting.runs import Run, find_runs
from gen_models.reporting.tables import run_table

__all__ = ["find_runs", "write_comparison", "write_report"]


def write_report(folder: Path, title: str | None = None) -> Path:
    """Write report.html and report.md of one run from its record.json.

    Args:
        folder: The run folder.
        title: The page's heading; model, data and seed if None.

    Returns:
        The path of report.html.

    Raises:
        UsageError: If the record is missing, unreadable or of an unknown schema.
    """
    record = Record.read(folder / "record.json")
    title = title or f"{record.model} on {record.data}, seed {record.seed}"
    pictures = run_gallery(Run(folder, record), folder)
    table = run_table(record)
    sentences = words.positions([record.model], table)
    page = render(
        "run.html",
        title=title,
        record=record,
        facts=_facts(record),
        warned=words.warned([("", record)]),
        sentences=sentences,
        table=table,
        protocols=protocols(table),
        galleries=pictures,
        plots=run_plots(record),
        origin=_origin(record),
        config=outline(record.config),
    )
    write_whole(folder / "report.md", _markdown(title, record, table, sentences, pictures))
    return write_whole(folder / "report.html", page)


def _markdown(
    title: str, record: Record, table: Table, sentences: list[str], pictures: list[Gallery]
) -> str:
    return markdown.page(
        f"# {markdown.escape(title)}",
        markdown.bullets(_pairs(_facts(record))),
        *(f"**{markdown.escape(told)}**" for told in words.warned([("", record)])),
        f"## Measurements\n\n{markdown.table(table)}",
        markdown.bullets(sentences),
        markdown.pictures(pictures, 2),
        f"## Provenance\n\n{markdown.bullets(_pairs(_origin(record)))}",
    )


def _pairs(items: dict[str, str]) -> list[str]:
    return [f"{name}: {value}" for name, value in items.items()]


def _facts(record: Record) -> dict[str, str]:
    budget = record.budget
    reason = f": {record.reason}" if record.reason else ""
    return {
        "Model": record.model,
        "Data": f"{record.data}, {' × '.join(map(str, record.shape))}",
        "Seed": str(record.seed),
        "Status": f"{record.status}{reason}",
        "Images seen": number(budget.images_seen),
        "Iterations": number(budget.iterations),
        "Training": f"{number(budget.training_seconds)} seconds",
        "Evaluation": f"{number(budget.evaluation_seconds)} seconds",
    }


def _origin(record: Record) -> dict[str, str]:
    def told(items: dict[str, Any]) -> str:
        return ", ".join(f"{k} {number(v) if type(v) is int else v}" for k, v in items.items())

    later = record.measured
    again = later and f"{later.created}, by commit {later.commit or 'none'}: {later.command}"
    return {
        "Command": record.command,
        "Created": record.created,
        "Commit": record.commit or "none",
        "Versions": told(record.versions),
        "Hardware": told(record.hardware),
        "Parameters": told(record.parameters),
        "Split": told(record.split),
        "Data fingerprint": record.data_fingerprint,
        **({"Sampling": record.sampling} if record.sampling else {}),
        **({"Measured again": again} if again else {}),
    }
