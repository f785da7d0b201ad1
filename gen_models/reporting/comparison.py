"""The comparison of many runs: one HTML page for a browser; Markdown, CSV and JSON beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gen_models.records.files import write_whole
from gen_models.reporting import markdown, words
from gen_models.reporting.answers import Answer
from gen_models.reporting.by_model import Sheet, legend, sheets
from gen_models.reporting.cells import Cell, Row, Table
from gen_models.reporting.costs import cost_table
from gen_models.reporting.exports import write_numbers
from gen_models.reporting.findings import all_findings, warnings
from gen_models.reporting.groups import CROWD, Group, Section, sections
from gen_models.reporting.headline import headline
from gen_models.reporting.images import ROOM, Gallery, galleries, place, relative
from gen_models.reporting.live import Live
from gen_models.reporting.origins import Origins, origins
from gen_models.reporting.pages import protocols, render
from gen_models.reporting.plots import Plot, plots
from gen_models.reporting.runs import Run, Unreadable, read_run
from gen_models.reporting.search_budget import search_plots
from gen_models.reporting.tables import measurement_table
from gen_models.reporting.tradeoffs import tradeoffs


@dataclass(frozen=True)
class Chapter:
    """A section of a comparison with everything that is shown of it."""

    section: Section
    answers: list[Answer]
    warnings: list[str]
    findings: dict[str, list[str]]
    origins: Origins
    measurements: Table
    cost: Table
    searches: list[Plot]
    tradeoffs: list[Plot]
    galleries: list[Gallery]
    curves: list[Plot]
    alone: dict[str, list[Plot]]

    @property
    def parts(self) -> list[str]:
        """The headings of what there is to show, in the page's order."""
        shown = {
            "Images": self.galleries,
            "Measurements": True,
            "Cost": True,
            "Curves": self.curves or self.alone or self.crowded,
            "Search": self.searches,
            "Trade-offs": self.tradeoffs,
            "Evidence": True,
        }
        return [part for part, there in shown.items() if there]

    @property
    def crowded(self) -> str:
        """Why there are no curves of a search."""
        count = len(self.section.groups)
        if count <= CROWD:
            return ""
        return f"Curves of {count} configurations fill no figure; each run's report has its own."

    @property
    def sheets(self) -> list[Sheet]:
        """The measurements by model, aspect by aspect; none where there is nothing to compare."""
        models = len(self.section.groups)
        return sheets(self.measurements, models) if models > 1 else []

    @property
    def legend(self) -> list[str]:
        """How to read the sheets."""
        return legend(self.measurements, len(self.section.groups))

    @property
    def costs(self) -> Sheet:
        """The cost by model."""
        (sheet,) = sheets(self.cost, len(self.section.groups))
        return sheet


def write_comparison(folder: Path, runs: Sequence[Path], live: Live | None = None) -> Path:
    """Write report.html that sets many runs side by side; report.md, .csv and .json beside it.

    A run whose record cannot be read gets a line that says why; the rest is still shown.

    Args:
        folder: Where the report goes; it is there already.
        runs: Run folders, from `find_runs` or anywhere else.
        live: Runs that have not ended, for a page that loads itself again.

    Returns:
        The path of report.html.
    """
    read = [read_run(run) for run in runs]
    whole = [run for run in read if isinstance(run, Run)]
    found = sections(whole)
    models_in_all = sum(len(section.groups) for section in found)
    chapters = [
        _chapter(section, folder, ROOM * len(section.groups) // models_in_all) for section in found
    ]
    models = dict.fromkeys(run.record.model for run in whole)
    title = f"Comparison of {words.together(list(models)) or 'no readable run'}"
    shown: dict[str, Any] = {
        "title": title,
        "tally": words.tally(read) if read or not live else "No run has ended.",
        "left_out": _left_out(read, chapters, folder),
        "runs": _run_list(read, folder),
    }
    page = render(
        "watched.html" if live else "comparison.html",
        live=live,
        chapters=chapters,
        protocols=[protocols(chapter.measurements) for chapter in chapters],
        **shown,
    )
    parts = [(chapter.section, chapter.measurements) for chapter in chapters]
    write_numbers(folder, parts, read)
    write_whole(folder / "report.md", _comparison_markdown(chapters, shown))
    return write_whole(folder / "report.html", page)


def _chapter(section: Section, page: Path, room: int) -> Chapter:
    groups = section.groups
    measurements, cost = measurement_table(groups), cost_table(groups)
    given = (groups, measurements, cost)
    return Chapter(
        section,
        headline(*given),
        warnings(*given),
        all_findings(*given),
        origins(groups),
        measurements,
        cost,
        search_plots(groups),
        tradeoffs(groups, measurements),
        galleries(groups, page, room),
        *(plots(groups) if len(groups) <= CROWD else ([], {})),
    )


def _comparison_markdown(chapters: Sequence[Chapter], shown: dict[str, Any]) -> str:
    parts = [f"# {markdown.escape(shown['title'])}", shown["tally"]]
    if shown["left_out"]:
        parts.append(f"Left out of every mean:\n\n{markdown.bullets(shown['left_out'])}")
    for chapter in chapters:
        parts += [
            f"## {markdown.escape(chapter.section.title)}",
            markdown.escape(chapter.section.why),
            markdown.headline(chapter.answers),
            *(f"**{markdown.escape(warning)}**" for warning in chapter.warnings),
            "### Images" if chapter.galleries else "",
            markdown.pictures(chapter.galleries, 4),
            f"### Measurements\n\n{markdown.table(chapter.measurements)}",
            f"### Cost\n\n{markdown.table(chapter.cost)}",
            f"### Curves\n\n{markdown.plots(chapter.curves)}"
            if chapter.curves
            else chapter.crowded,
            f"### Search\n\n{markdown.plots(chapter.searches)}" if chapter.searches else "",
            f"### Trade-offs\n\n{markdown.plots(chapter.tradeoffs)}" if chapter.tradeoffs else "",
            markdown.findings(chapter.findings),
            markdown.origins(chapter.origins),
        ]
    return markdown.page(*parts, f"## Runs\n\n{markdown.table(shown['runs'])}")


def _left_out(
    runs: Sequence[Run | Unreadable], chapters: Sequence[Chapter], page: Path
) -> list[str]:
    """A sentence for each run that no mean holds: unreadable, unfinished or repeated."""
    groups = [group for chapter in chapters for group in chapter.section.groups]
    unreadable = [
        f"run {place(run.folder, page)}: {run.problem}"
        for run in runs
        if isinstance(run, Unreadable)
    ]
    return unreadable + [told for group in groups for told in _left_out_of(group, page)]


def _left_out_of(group: Group, page: Path) -> list[str]:
    unfinished = [
        f"{_which(run, group, page)}, {run.record.status}: {run.record.reason or 'no reason given'}"
        for run in group.unfinished
    ]
    return unfinished + [
        f"{_which(run, group, page)}, run again later: the newest run of a seed counts"
        for run in group.repeated
    ]


def _which(run: Run, group: Group, page: Path) -> str:
    return f"run {place(run.folder, page)}: {group.label}, seed {run.record.seed}"


def _run_list(runs: Sequence[Run | Unreadable], page: Path) -> Table:
    columns = ("Run", "Model", "Seed", "Status", "Device", "Commit", "Created")
    return Table("Every run.", tuple(map(Cell, columns)), tuple(_run_row(r, page) for r in runs))


def _run_row(run: Run | Unreadable, page: Path) -> Row:
    report = run.folder / "report.html"
    link = relative(report, page) if report.exists() and run.folder != page else ""
    head = Cell(place(run.folder, page), link=link)
    if isinstance(run, Unreadable):
        return Row(head, (*[Cell("")] * 2, Cell("unreadable"), *[Cell("")] * 3))
    record = run.record
    device = str(record.hardware.get("device", ""))
    texts = (record.model, str(record.seed), record.status, device, (record.commit or "none")[:10])
    return Row(head, (*map(Cell, texts), Cell(record.created)))
