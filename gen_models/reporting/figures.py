"""Clouds of runs: two measurements of each against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from gen_models.reporting.drawing import Style, blank, label, legend, svg


@dataclass(frozen=True)
class Cloud:
    """One model: its label and looks, and a point (x, y) per run."""

    label: str
    style: Style
    points: tuple[tuple[float, float], ...]

    @property
    def mean(self) -> tuple[float, float]:
        """The means of both coordinates."""
        xs, ys = zip(*self.points, strict=True)
        return fmean(xs), fmean(ys)


def clouds_figure(x: str, y: str, clouds: Sequence[Cloud]) -> bytes:
    """Draw a mark for each run, and a larger open one for the mean of each model.

    Args:
        x: The label of the x axis.
        y: The label of the y axis.
        clouds: One per model, one or more.

    Returns:
        An SVG of about 10 kB, `WIDTH` wide and `HEIGHT` high, and its legend.
    """
    figure, axes = blank()
    means = []
    for cloud in clouds:
        colour, mark = cloud.style.colour, cloud.style.mark
        xs, ys = zip(*cloud.points, strict=True)
        axes.scatter(xs, ys, s=20, color=colour, marker=mark, alpha=0.7)
        # Open, so that it hides neither runs nor another model's mean.
        means += axes.plot(
            *cloud.mean, mark, ms=10, mew=1.6, mfc="none", mec=colour, label=cloud.label
        )
    axes.margins(0.08)
    label(axes, x, y)
    legend(figure, means)
    return svg(figure)
