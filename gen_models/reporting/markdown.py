"""The same tables and sentences as GitHub Markdown, for a terminal or a pull request."""

from collections.abc import Iterable, Mapping, Sequence

from gen_models.reporting.answers import Answer
from gen_models.reporting.cells import Cell, Row, Table
from gen_models.reporting.images import Gallery, Shown
from gen_models.reporting.origins import Origins
from gen_models.reporting.plots import Plot


def escape(text: str) -> str:
    r"""Text that Markdown shows as it is: no table cell, tag or link begins in it.

    >>> escape("a|b <script> [x](y)")
    'a\\|b &lt;script&gt; [x]\\(y)'
    """
    text = " ".join(text.split()).replace("\\", "\\\\").replace("&", "&amp;")
    text = text.replace("<", "&lt;").replace(">", "&gt;").replace("](", "]\\(")
    for mark in "|`*":
        text = text.replace(mark, f"\\{mark}")
    return text


def table(table: Table) -> str:
    """A pipe table under its caption; a bold line before the rows of each aspect."""
    head = [_cell(column) for column in table.columns]
    lines = [escape(table.caption), "", _line(head), _line(["---"] * len(head))]
    for aspect, rows in table.parts:
        title = [_line([f"**{escape(aspect)}**", *[""] * (len(head) - 1)])] if aspect else []
        lines += [*title, *map(_row, rows)]
    return "\n".join(lines)


def _row(row: Row) -> str:
    return _line([_cell(row.head), *map(_cell, row.cells)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.link:
        text = f"[{text}]({cell.link})"
    if cell.best:
        text = f"**{text}** (best)"
    return " · ".join(filter(None, (text, *map(escape, cell.notes))))


def bullets(sentences: Sequence[str]) -> str:
    """A list of sentences."""
    return "\n".join(f"- {escape(sentence)}" for sentence in sentences)


def headline(answers: Sequence[Answer]) -> str:
    """The questions with their answers, and under each what it rests on."""
    return "\n".join(line for answer in answers for line in _answer(answer))


def _answer(answer: Answer) -> list[str]:
    below = filter(None, (*answer.evidence, f"{answer.sure}." if answer.sure else ""))
    return [
        f"- **{escape(answer.subject)}** {escape(answer.question)} **{escape(answer.sentence)}**",
        *(f"  - {escape(line)}" for line in below),
    ]


def findings(parts: Mapping[str, Sequence[str]]) -> str:
    """All sentences, under their headings."""
    told = [f"#### {escape(part)}\n\n{bullets(sentences)}" for part, sentences in parts.items()]
    return "\n\n".join(["### All findings in words", *told]) if told else ""


def origins(origins: Origins) -> str:
    """Where the numbers come from: what is alike, two tables, and the commands by model."""
    commands = [f"{model}: {line}" for model, told in origins.commands.items() for line in told]
    return "\n\n".join(
        (
            "### Provenance",
            bullets(origins.alike),
            table(origins.apart),
            *([table(origins.configurations)] if origins.configurations.rows else []),
            bullets(commands),
        )
    )


def plots(plots: Sequence[Plot]) -> str:
    """What each figure says in words."""
    return "\n\n".join(
        f"**{escape(plot.title)}**\n\n{bullets((*plot.notes, *plot.told))}" for plot in plots
    )


def pictures(galleries: Sequence[Gallery], level: int) -> str:
    """Links to the pictures in the run folders, under headings of the given level."""
    parts = []
    for gallery in galleries:
        parts.append(f"{'#' * level} {escape(gallery.title)}")
        parts += [escape(gallery.lacking), *(_picture(shown) for shown in gallery.first)]
    return "\n\n".join(filter(None, parts))


def _picture(shown: Shown) -> str:
    if shown.problem:
        return f"- {escape(shown.problem)}"
    # Brackets would end the alternative text early.
    alt = escape(shown.alt).replace("[", "(").replace("]", ")")
    rows = (f"{place}. {escape(row)}" for place, row in enumerate(shown.rows, 1))
    return page(escape(shown.label), f"![{alt}]({shown.link})", "\n".join(rows)).strip()


def page(*parts: str) -> str:
    """Join what is not empty by blank lines."""
    return "\n\n".join(filter(None, parts)) + "\n"
