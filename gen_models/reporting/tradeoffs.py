"""Two measurements against each other, where gaining in one may be paid for in the other."""

from collections.abc import Iterator, Sequence

from gen_models.records import Value
from gen_models.reporting.cells import Row, Table
from gen_models.reporting.drawing import Style, styles
from gen_models.reporting.estimates import number
from gen_models.reporting.figures import Cloud, clouds_figure
from gen_models.reporting.groups import CROWD, Group
from gen_models.reporting.plots import Plot, panel
from gen_models.reporting.verdicts import differing

PAIRS = (
    ("precision_", "recall_"),
    ("density_", "coverage_"),
    ("probe_rate_", "probe_distortion_"),
)
"""How the names of two values begin, y before x; what follows, the protocol, is the same."""


def tradeoffs(groups: Sequence[Group], table: Table) -> list[Plot]:
    """A figure for each pair of `PAIRS` that two models or more have both values of; none of many.

    Args:
        groups: The models.
        table: From `measurement_table` of these groups: a row that is not compared, because its
            values differ in protocol, is not drawn either.
    """
    if len(groups) > CROWD:
        return []
    return [_plot(x, y, clouds) for x, y, clouds in _found(groups, table) if len(clouds) > 1]


def _found(groups: Sequence[Group], table: Table) -> Iterator[tuple[Row, Row, list[Cloud]]]:
    looks = styles([group.label for group in groups])
    rows = {row.values[0].name: row for row in table.rows if not differing(row.values)}
    for above, beside in PAIRS:
        for name, y in rows.items():
            x = rows.get(name.replace(above, beside, 1))
            if name.startswith(above) and x:
                clouds = [
                    _cloud(group, looks[group.label], x.values[0].name, name) for group in groups
                ]
                yield x, y, [cloud for cloud in clouds if cloud.points]


def _cloud(group: Group, style: Style, x: str, y: str) -> Cloud:
    numbers = [{v.name: v.value for v in record.values} for record in group.records]
    points = [(mine.get(x), mine.get(y)) for mine in numbers]
    whole = tuple((a, b) for a, b in points if a is not None and b is not None)
    return Cloud(group.label, style, whole)


def _plot(x: Row, y: Row, clouds: Sequence[Cloud]) -> Plot:
    across, up = (f"{row.head.text}\n{_reads(row.values[0])}" for row in (x, y))
    alt = (
        f"{y.head.text} ({_reads(y.values[0])}), upwards, against {x.head.text}"
        f" ({_reads(x.values[0])}), to the right; one point a run"
    )
    names = x.values[0].title, y.values[0].title
    return Plot(
        f"{y.head.text} against {x.head.text}",
        (panel(clouds_figure(across, up, clouds), alt),),
        told=tuple(_told(cloud, names) for cloud in clouds),
    )


def _told(cloud: Cloud, names: tuple[str, str]) -> str:
    means = zip(names, map(number, cloud.mean), strict=True)
    count = len(cloud.points)
    of = f"means of {count} runs" if count > 1 else "1 run"
    return f"{cloud.label}: {', '.join(f'{name} {mean}' for name, mean in means)} ({of})"


def _reads(value: Value) -> str:
    """The unit and the direction, as an axis has them."""
    return f"{value.unit}, {value.better} is better" if value.better else value.unit
