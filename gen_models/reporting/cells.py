"""What tables are made of; HTML and Markdown show the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

from gen_models.records import ASPECTS, Value
from gen_models.reporting.contests import Contest
from gen_models.reporting.estimates import Estimate

ARROWS = {"lower": "lower is better ↓", "higher": "higher is better ↑"}


@dataclass(frozen=True)
class Cell:
    """A text with smaller notes under it.

    Attributes:
        text: What is read first.
        notes: Smaller lines; empty ones are left out.
        estimate: The number behind the text, where it is a model's.
        best: Better than every other model by the tests of the row.
        missing: Stands for an absent number.
        link: A relative address for the text.
        order: The number to sort by, where it is not the estimate's.
        brief: The notes in one short line, for a page that explains them once.
    """

    text: str
    notes: tuple[str, ...] = ()
    estimate: Estimate | None = None
    best: bool = False
    missing: bool = False
    link: str = ""
    order: float | None = None
    brief: str = ""

    def noted(self, note: str) -> "Cell":
        """The same with one note more."""
        brief = " · ".join(filter(None, (self.brief, note)))
        return replace(self, notes=(*self.notes, note), brief=brief)

    @property
    def key(self) -> float | None:
        """What a column is sorted by; None for a cell without a number."""
        return self.estimate.value if self.estimate else self.order

    @property
    def interval(self) -> str:
        """The part of the text in brackets, if the text has one: a page keeps it on one line."""
        interval = self.estimate.interval if self.estimate else ""
        return interval if self.text.endswith(interval) else ""

    @property
    def number(self) -> str:
        """The part of the text before the interval."""
        return self.text.removesuffix(self.interval).strip()


@dataclass(frozen=True)
class Row:
    """A heading and its cells.

    Attributes:
        values: What the row was made of, seed by seed.
        differing: What these values differ in, so that no models are compared on them.
        contest: The tests between the models, where there are several to compare.
        apart: By label of the models that are not among these, how theirs was measured otherwise.
    """

    head: Cell
    cells: tuple[Cell, ...]
    values: tuple[Value, ...] = ()
    differing: tuple[str, ...] = ()
    contest: Contest | None = None
    apart: Mapping[str, str] = field(default_factory=dict)

    @property
    def aspect(self) -> str:
        """What the row tells of, one of `ASPECTS`; empty in old records and other tables."""
        return next((value.aspect for value in self.values if value.aspect), "")


@dataclass(frozen=True)
class Table:
    """Rows under columns; the first column is the rows' heading."""

    caption: str
    columns: tuple[Cell, ...]
    rows: tuple[Row, ...]

    @property
    def parts(self) -> list[tuple[str, list[Row]]]:
        """The rows under the heading of their aspect; an empty heading is not shown."""
        return [
            (aspect.capitalize(), list(rows))
            for aspect, rows in groupby(self.rows, lambda row: row.aspect)
        ]


def arranged(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows in the order of `ASPECTS`, and within one the views of one question together.

    Rows without an aspect come first and keep their order.
    """
    rows = list(rows)
    order = ("", *ASPECTS)
    titles = list(dict.fromkeys(row.values[0].title for row in rows))

    def place(row: Row) -> tuple[int, int]:
        return order.index(row.aspect), titles.index(row.values[0].title) if row.aspect else 0

    return tuple(sorted(rows, key=place))


def heading(value: Value, views: Iterable[Value]) -> str:
    """The value's title, with its extractor where `views` hold another extractor's."""
    others = {view.extractor for view in views if view.title == value.title}
    several = value.extractor and len(others) > 1
    return f"{value.title} by {value.extractor}" if several else value.title
