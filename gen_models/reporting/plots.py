"""The curves of runs as figures with the words that go with them, ready to be put into a page."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from gen_models.records import Curve, Record
from gen_models.reporting.bands import Axis, best, first, gaps, last
from gen_models.reporting.curves import TITLES, Line, curves_figure
from gen_models.reporting.drawing import Style, data_uri, styles
from gen_models.reporting.estimates import number
from gen_models.reporting.groups import Group
from gen_models.reporting.words import together

ALIKE = ("_nats", "active_units")
"""Endings of quantities that mean the same for every model. A loss does not: each has its own."""

WORSE = 1.2
"""So many times its best a score must end at to be told of first."""


@dataclass(frozen=True)
class Panel:
    """A figure as an image of both colour schemes."""

    uri: str
    alt: str
    width: str
    height: str


@dataclass(frozen=True)
class Plot:
    """Panels of one quantity.

    Attributes:
        title: What is shown.
        panels: The same quantity over one axis each.
        notes: Sentences on how it is drawn, what stands out first.
        told: What each line says, in words.
    """

    title: str
    panels: tuple[Panel, ...]
    notes: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def panel(svg: bytes, alt: str) -> Panel:
    """An SVG as an image of a page."""
    size = re.search(rb'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg)
    assert size, "every figure says its size"
    return Panel(data_uri(svg, "image/svg+xml"), alt, *(part.decode() for part in size.groups()))


def run_plots(record: Record) -> list[Plot]:
    """The curves of one run: `train/loss` and `validation/loss` share the figure "loss"."""
    return _parts([record], "")


def plots(groups: Sequence[Group]) -> tuple[list[Plot], dict[str, list[Plot]]]:
    """The finished runs' curves.

    Returns:
        Figures of all models: the scores that `best.ckpt` is chosen by, then what two models or
        more validate and `ALIKE` knows to mean the same. And for each model's label its others.
    """
    looks = styles([group.label for group in groups])
    scores = dict.fromkeys(score(record) for group in groups for record in group.records)
    names = dict.fromkeys(
        curve.name for group in groups for record in group.records for curve in record.curves
    )
    shown = []
    for name in sorted(names, key=lambda name: name not in scores):
        lines = [_line(group.label, looks, group.records, name) for group in groups]
        lines = [line for line in lines if line.seeds]
        if lines and (name in scores or (len(lines) > 1 and _alike(name))):
            drawn = [r for group in groups for r in group.records if _curves([r], name)]
            shown.append(_plot(name, lines, drawn))
    alone = {group.label: _parts(group.records, *scores) for group in groups}
    return shown, {label: made for label, made in alone.items() if made}


def score(record: Record) -> str:
    """The name of the curve that `best.ckpt` is the lowest point of; empty where there is none.

    Before schema 4 no record named it: it was always the Frechet distance to validation images.
    """
    names = (curve.name for curve in record.curves)
    return record.selection or next((n for n in names if n.startswith("validation/fid_")), "")


def _alike(name: str) -> bool:
    return name.startswith("validation/") and name.endswith(ALIKE)


def _line(label: str, looks: Mapping[str, Style], records: Sequence[Record], name: str) -> Line:
    scored = any(score(record) == name for record in records)
    return Line(label, looks[label], _curves(records, name), scored)


def _curves(records: Iterable[Record], name: str) -> tuple[Curve, ...]:
    return tuple(
        curve
        for record in records
        for curve in record.curves
        if curve.name == name and curve.images
    )


def _parts(records: Sequence[Record], *without: str) -> list[Plot]:
    """A figure for each quantity of one model, what is chosen by first; a line for each part."""
    scores = {score(record) for record in records}
    names = dict.fromkeys(curve.name for record in records for curve in record.curves)
    by_quantity: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: name not in scores):
        if name not in without and _curves(records, name):
            by_quantity.setdefault(name.rpartition("/")[2], []).append(name)
    plots = []
    for quantity, members in by_quantity.items():
        labels = {name: name.rpartition("/")[0] or records[0].model for name in members}
        looks = styles(list(labels.values()))
        lines = [_line(label, looks, records, name) for name, label in labels.items()]
        # Of one model, seconds do little but stretch the axis: what is trained for is worth that.
        timed = quantity == "loss" or any(line.scored for line in lines)
        plots.append(_plot(quantity, lines, records if timed else ()))
    return plots


def _plot(title: str, lines: Sequence[Line], records: Sequence[Record]) -> Plot:
    """A figure over images, and over seconds where all of these runs have comparable ones."""
    lacking = _no_seconds(lines, records)
    axes: tuple[Axis, ...] = ("images", "seconds") if records and not lacking else ("images",)
    quantity = title.rpartition("/")[2] + "\nlower is better" * any(line.scored for line in lines)
    panels = [
        panel(
            curves_figure(quantity, lines, axis),
            f"{title} over {TITLES[axis]}: {together([line.label for line in lines])}",
        )
        for axis in axes
    ]
    notes = (_overtrained(lines), lacking)
    told = tuple(f"{line.label}: {_told(line)}" for line in lines)
    return Plot(title, tuple(panels), tuple(filter(None, notes)), told)


def _no_seconds(lines: Sequence[Line], records: Sequence[Record]) -> str:
    """Why there is no panel over seconds, or nothing."""
    lacking = [line.label for line in lines if not all(curve.seconds for curve in line.seeds)]
    if lacking and records:
        return f"Not drawn over seconds, which were not recorded for {together(lacking)}."
    machines = [record.hardware for record in records]
    if all(machine == machines[0] for machine in machines):
        return ""
    told = dict.fromkeys(_machine(machine) for machine in machines)
    if len(told) == 1:
        names = dict.fromkeys(name for machine in machines for name in machine)
        apart = [n for n in names if any(m.get(n) != machines[0].get(n) for m in machines)]
        told = dict.fromkeys(_machine(machine, apart) for machine in machines)
    return f"Not drawn over seconds, because machines differ: {together(list(told))}."


def _machine(hardware: Mapping[str, object], others: Sequence[str] = ()) -> str:
    """Device and processor, and further facts, as threads and cores are."""
    facts = [f"{name} {hardware.get(name, 'unknown')}" for name in others]
    processor = str(hardware.get("processor", "unknown"))
    return f"{hardware.get('device', 'unknown')} ({', '.join([processor, *facts])})"


def _overtrained(lines: Sequence[Line]) -> str:
    """Who ends far above its best, the farthest first."""
    ratios = {line.label: ratio for line in lines if line.scored and (ratio := _ratio(line))}
    worse = sorted((label for label in ratios if ratios[label] >= WORSE), key=lambda m: -ratios[m])
    if not worse:
        return ""
    each = together([f"{label} at {number(ratios[label], 2)} times" for label in worse])
    return f"Training ends above its best score: {each}; by it, best.ckpt is better than last.ckpt."


def _ratio(line: Line) -> float | None:
    """Last over best, of the means over seeds; None where a ratio means nothing."""
    lowest, final = _values(line, best), _values(line, last)
    return fmean(final) / fmean(lowest) if lowest and min(lowest) > 0 else None


def _values(line: Line, where: Callable[[Curve], int | None]) -> list[float]:
    """Of each seed that has a finite value, the one at a place."""
    places = [(curve, where(curve)) for curve in line.seeds]
    return [gaps(curve)[place] for curve, place in places if place is not None]


def _told(line: Line) -> str:
    final = _values(line, last)
    if not final:
        return "no finite value"
    ended = f"last {number(fmean(final))}"
    ended += f" (means of {len(final)} runs)" if len(final) > 1 else ""
    if not line.scored:
        return f"first {number(fmean(_values(line, first)))}, {ended}"
    places = [curve.images[i] for curve in line.seeds if (i := best(curve)) is not None]
    where = " to ".join(map(number, sorted({min(places), max(places)})))
    return f"best {number(fmean(_values(line, best)))} at {where} images, {ended}"
