"""Curves over a budget, in images or in seconds: seeds as a band, their best and last points."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gen_models.records import Curve
from gen_models.reporting.bands import Axis, band, best, gaps, last, thin
from gen_models.reporting.drawing import INKS, Style, blank, label, legend, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

TITLES = {"images": "images seen", "seconds": "seconds of training"}
SPAN = 10
"""So many times its lowest value a quantity must reach to be drawn over a logarithmic axis."""
MARKED = 12
"""At most so many points of a line have its mark: enough to tell it from another."""
BEST: dict[str, Any] = {"marker": "*", "ms": 9, "mew": 0.7, "mec": INKS["light"], "ls": ""}
LAST: dict[str, Any] = {"marker": "o", "ms": 7, "mew": 1.2, "mfc": "none", "ls": ""}


@dataclass(frozen=True)
class Line:
    """What is drawn in one style.

    Attributes:
        label: Of the model, or of a part of the run.
        style: Its looks.
        seeds: One curve each, none of them empty.
        scored: Whether `best.ckpt` is this quantity's lowest point, so that both ends are marked.
    """

    label: str
    style: Style
    seeds: tuple[Curve, ...]
    scored: bool = False


def curves_figure(quantity: str, lines: Sequence[Line], axis: Axis = "images") -> bytes:
    """Draw each line's mean over seeds and its band, or each seed where they are too few for it.

    Args:
        quantity: The label of the y axis.
        lines: One per model or part, one or more.
        axis: What they are drawn over; each curve has it.

    Returns:
        An SVG of 5 to 20 kB, `WIDTH` wide and `HEIGHT` high, and its legend.
    """
    from matplotlib.lines import Line2D

    figure, axes = blank()
    handles = [_draw(axes, line, axis) for line in lines]
    if any(line.scored for line in lines):
        ink = INKS["light"]
        handles.append(Line2D([], [], label="best of a run", mfc=ink, **BEST))
        handles.append(Line2D([], [], label="last of a run", mec=ink, **LAST))
    _scale(axes, [curve for line in lines for curve in line.seeds])
    for ticks in (axes.xaxis, axes.yaxis):
        ticks.set_major_formatter(lambda value, _: f"{value:,.8g}")
    axes.locator_params(axis="x", nbins=5)
    axes.margins(x=0.03)
    label(axes, TITLES[axis], quantity)
    legend(figure, handles)
    return svg(figure)


def _draw(axes: "Axes", line: Line, axis: Axis) -> "Line2D":
    """Draw a line, and return what stands for it in the legend."""
    style = line.style
    looks: dict[str, Any] = {"color": style.colour, "ls": style.dash, "lw": 1.3}
    looks |= {"marker": style.mark, "ms": 3, "label": line.label}
    seeds = [thin(curve) for curve in line.seeds]
    found = band(seeds, axis)
    if found:
        axes.fill_between(found.x, found.low, found.high, color=style.colour, alpha=0.15, lw=0)
        drawn = [(found.x, list(found.mean))]
    else:
        drawn = [(getattr(curve, axis), gaps(curve)) for curve in seeds]
    for x, y in drawn:
        (handle,) = axes.plot(x, y, markevery=-(-len(x) // MARKED), **looks)
    if line.scored:
        _mark(axes, line, axis)
    return handle


def _mark(axes: "Axes", line: Line, axis: Axis) -> None:
    colour = line.style.colour
    for where, looks in ((last, {"mec": colour, **LAST}), (best, {"mfc": colour, **BEST})):
        found = [(curve, at) for curve in line.seeds if (at := where(curve)) is not None]
        x = [getattr(curve, axis)[at] for curve, at in found]
        axes.plot(x, [gaps(curve)[at] for curve, at in found], zorder=3, **looks)


def _scale(axes: "Axes", curves: Sequence[Curve]) -> None:
    """Frame what the runs measured: a band of few seeds would leave them a thin strip."""
    shown = list(_shown(curves))
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    if low > 0 and high > SPAN * low:
        from matplotlib.ticker import LogLocator, NullLocator

        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        edge = (high / low) ** 0.06
        axes.set_ylim(low / edge, high * edge)
    elif low < high:
        edge = 0.06 * (high - low)
        axes.set_ylim(low - edge, high + edge)


def _shown(curves: Sequence[Curve]) -> Iterator[float]:
    """All values that are drawn: of long curves the means, and the two ends that are marked."""
    for curve in curves:
        yield from (value for value in gaps(thin(curve)) if math.isfinite(value))
        ends = (best(curve), last(curve))
        yield from (gaps(curve)[index] for index in ends if index is not None)
