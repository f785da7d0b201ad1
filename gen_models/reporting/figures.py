"""Curves over images seen and clouds of runs, as PNG bytes that fit into a page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import fmean
from textwrap import fill
from typing import TYPE_CHECKING

from gen_models.records import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: its darker colours first on white, where yellow is too faint, and its
# lighter ones first on black.
COLOURS = {
    "light": ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"),
    "dark": ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#7F7F7F"),
}
# Four styles, or marks, against seven colours: 28 before two look the same, and print keeps them
# apart.
STYLES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D")
INKS = {"light": "#1a1d21", "dark": "#e6e6e6"}
POINTS = 200


@dataclass(frozen=True)
class Line:
    """What is drawn in one colour: a label and one curve per seed."""

    label: str
    seeds: tuple[Curve, ...]


@dataclass(frozen=True)
class Cloud:
    """What is drawn in one colour: a label and one point (x, y) per run."""

    label: str
    points: tuple[tuple[float, float], ...]

    @property
    def mean(self) -> tuple[float, float]:
        """The means of both coordinates."""
        xs, ys = zip(*self.points, strict=True)
        return fmean(xs), fmean(ys)


def curves_figure(quantity: str, lines: Sequence[Line], scheme: str = "light") -> bytes:
    """Draw lines over images seen: thin per seed, thick for the mean where the seeds share a grid.

    Args:
        quantity: The label of the y axis.
        lines: One per model or split.
        scheme: "light" or "dark": the colour of the axes; the background is clear.

    Returns:
        A PNG of about 20 kB, 640 pixels wide at 100 dots per inch.
    """
    figure, axes = _axes()
    for line, colour, style in zip(lines, cycle(COLOURS[scheme]), cycle(STYLES), strict=False):
        _draw(axes, line, colour, style)
    axes.set_xlabel("images seen")
    axes.set_ylabel(quantity)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.locator_params(axis="x", nbins=5)
    axes.margins(x=0.01)
    _tint(axes, INKS[scheme])
    if lines:
        axes.legend(frameon=False, labelcolor=INKS[scheme], handlelength=3)
    return _png(figure)


def clouds_figure(x: str, y: str, clouds: Sequence[Cloud], scheme: str = "light") -> bytes:
    """Draw a mark for each run, and a larger open one for the mean of each model.

    Args:
        x: The label of the x axis.
        y: The label of the y axis.
        clouds: One per model, one or more.
        scheme: As in `curves_figure`.

    Returns:
        A PNG of the same size.
    """
    figure, axes = _axes()
    for cloud, colour, mark in zip(clouds, cycle(COLOURS[scheme]), cycle(MARKS), strict=False):
        xs, ys = zip(*cloud.points, strict=True)
        axes.scatter(xs, ys, s=24, color=colour, marker=mark, alpha=0.7, linewidths=0)
        # Open, so that it hides neither runs nor another model's mean.
        axes.scatter(
            *cloud.mean,
            s=120,
            facecolors="none",
            edgecolors=colour,
            marker=mark,
            linewidths=1.8,
            label=cloud.label,
        )
    # Titles are of strangers: a dollar in them is no formula.
    axes.set_xlabel(_wrapped(x, 64), parse_math=False)
    axes.set_ylabel(_wrapped(y, 36), parse_math=False)
    axes.margins(0.08)
    _tint(axes, INKS[scheme])
    for text in axes.legend(frameon=False, labelcolor=INKS[scheme]).get_texts():
        text.set_parse_math(False)
    return _png(figure)


def _wrapped(label: str, width: int) -> str:
    """Lines that are no longer than an axis."""
    return "\n".join(fill(line, width) for line in label.splitlines())


def _axes() -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.4), dpi=100, layout="constrained")
    return figure, figure.add_subplot()


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True)
    return _fewer_colours(buffer.getvalue())


def _draw(axes: "Axes", line: Line, colour: str, style: str) -> None:
    curves = [thin(curve) for curve in line.seeds]
    mean = _mean(curves)
    for curve in curves:
        axes.plot(
            curve.images,
            _gaps(curve),
            color=colour,
            linestyle="-" if mean else style,
            linewidth=0.7 if mean else 1.6,
            alpha=0.45 if mean else 1,
            label=None if mean or curve is not curves[0] else line.label,
        )
    if mean:
        axes.plot(mean.images, _gaps(mean), color=colour, linestyle=style, label=line.label)


def _gaps(curve: Curve) -> list[float]:
    # The one place for NaN: matplotlib leaves the line open there.
    return [float("nan") if value is None else value for value in curve.values]


def _mean(curves: Sequence[Curve]) -> Curve | None:
    """The mean over seeds, where there are several on one grid and none has a gap."""
    grids = {curve.images for curve in curves}
    if len(curves) < 2 or len(grids) != 1:
        return None
    columns = list(zip(*(curve.values for curve in curves), strict=True))
    sums = [sum(v for v in column if v is not None) / len(column) for column in columns]
    if any(value is None for column in columns for value in column):
        return None
    return Curve("mean", curves[0].images, tuple(sums))


def thin(curve: Curve) -> Curve:
    """At most `POINTS` points, each the mean of its neighbours: noise would fill the picture."""
    step = -(-len(curve.images) // POINTS)
    if step < 2:
        return curve
    starts = range(0, len(curve.images), step)
    kept = [[v for v in curve.values[i : i + step] if v is not None] for i in starts]
    return Curve(
        curve.name,
        tuple(curve.images[min(i + step, len(curve.images)) - 1] for i in starts),
        tuple(sum(values) / len(values) if values else None for values in kept),
    )


def _tint(axes: "Axes", ink: str) -> None:
    axes.tick_params(colors=ink)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(ink)
    axes.grid(alpha=0.2, color=ink)


def _fewer_colours(png: bytes) -> bytes:
    """A palette instead of full colour: a third of the size, the same to the eye."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.quantize(128, method=Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(png: bytes) -> str:
    """A PNG as an address that needs no network.

    >>> data_uri(b"PNG")
    'data:image/png;base64,UE5H'
    """
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
