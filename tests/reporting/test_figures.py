"""Figures: small, without traces, and whole where a loss was not finite."""

import matplotlib
import pytest

from gen_models.records import Curve
from gen_models.reporting.figures import POINTS, Line, curves_figure, thin
from gen_models.reporting.report import write_report


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_figure_is_small_and_leaves_no_state(record, scheme):
    before = dict(matplotlib.rcParams)
    noisy = tuple(float(hash((i, 7)) % 1000) for i in range(5000))
    seeds = tuple(Curve("loss", tuple(range(5000)), noisy[i:] + noisy[:i]) for i in range(3))
    lines = [Line(name, seeds) for name in ("vae", "gan", "ppca")]
    png = curves_figure("loss", lines, scheme)
    assert png.startswith(b"\x89PNG")
    assert len(png) < 60_000
    assert dict(matplotlib.rcParams) == before


def test_a_figure_takes_gaps_and_single_points():
    gap = Curve("loss", (0, 1, 2), (1.0, None, 3.0))
    lonely = Curve("loss", (5,), (1.0,))
    nothing = Curve("loss", (0, 1), (None, None))
    lines = [Line("a", (gap, gap)), Line("b", (lonely,)), Line("c", (nothing,))]
    assert curves_figure("loss", lines)
    zero = Curve("loss", (0, 1, 2), (1.0, 0.0, 3.0))
    gap_drawn, zero_drawn = (curves_figure("loss", [Line("a", (c,))]) for c in (gap, zero))
    assert gap_drawn != zero_drawn


def test_a_long_curve_is_drawn_through_means_of_its_neighbours():
    drawn = thin(Curve("loss", tuple(range(1000)), tuple(i % 5 for i in range(1000))))
    assert len(drawn.images) == POINTS == 200
    assert drawn.images[-1] == 999
    assert set(drawn.values) == {2.0}
    short = Curve("loss", (0, 1), (1.0, None))
    assert thin(short) == short


def test_a_diverged_curve_reaches_the_page(run, record):
    made = record(curves=(Curve("train/loss", (0,), (None,)),), status="diverged", reason="NaN")
    assert "has no finite value" in write_report(run(made)).read_text()
