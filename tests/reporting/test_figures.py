"""Figures: what is drawn, without traces, for strangers' labels, in both colour schemes."""

import re
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.colors import to_hex

from gen_models.records import Curve
from gen_models.reporting.bands import band
from gen_models.reporting.curves import Line, curves_figure
from gen_models.reporting.drawing import COLOURS, INKS, styles

LABELS = tuple(f"model {index}" for index in range(10))
LOOKS = styles(LABELS)


def line(*values, label=LABELS[0], scored=False, seconds=None):
    """A line whose seeds have these values at 0, 10, 20, ... images."""
    seeds = tuple(
        Curve("s", tuple(range(0, 10 * len(v), 10)), tuple(v), tuple(s))
        for v, s in zip(values, seconds or [()] * len(values), strict=True)
    )
    return Line(label, styles([*LABELS, label])[label], seeds, scored)


@pytest.fixture
def drawn(monkeypatch):
    """Draw curves, and return the figure itself."""

    def make(*lines, axis="images"):
        shown = []
        monkeypatch.setattr("gen_models.reporting.curves.svg", shown.append)
        curves_figure("score", lines, axis)
        return shown[0]

    return make


def xy(artist):
    return artist.get_xydata().tolist()


def test_two_seeds_are_two_lines_and_three_a_mean_with_its_band(drawn):
    seeds = ((1.0, 5.0), (2.0, 6.0), (3.0, 10.0))
    (axes,) = drawn(line(*seeds[:2])).axes
    assert [xy(one) for one in axes.lines] == [[[0, 1], [10, 5]], [[0, 2], [10, 6]]]
    assert not axes.collections
    (axes,) = drawn(line(*seeds)).axes
    assert [xy(one) for one in axes.lines] == [[[0, 2], [10, 7]]]
    (shade,) = axes.collections
    found = band(line(*seeds).seeds, "images")
    corners = {tuple(corner) for corner in shade.get_paths()[0].vertices.tolist()}
    assert corners == {
        *zip(found.x, found.low, strict=True),
        *zip(found.x, found.high, strict=True),
    }


def test_best_and_last_of_each_run_are_marked_apart_by_shape(drawn):
    given = line((9.0, 3.0, 5.0), (8.0, 7.0, 6.0), scored=True, seconds=((1, 2, 3), (2, 4, 6)))
    for axis, ends, lows in (
        ("images", [[20, 5], [20, 6]], [[10, 3], [20, 6]]),
        ("seconds", [[3, 5], [6, 6]], [[2, 3], [6, 6]]),
    ):
        figure = drawn(given, axis=axis)
        ring, star = figure.axes[0].lines[2:]
        assert (ring.get_marker(), star.get_marker()) == ("o", "*")
        assert (xy(ring), xy(star)) == (ends, lows)
        named = [text.get_text() for text in figure.legends[0].get_texts()]
        assert named == [LABELS[0], "best of a run", "last of a run"]
        assert figure.axes[0].get_xlabel() == {"images": "images seen"}.get(
            axis, "seconds of training"
        )
    plain = drawn(line((9.0, 3.0, 5.0)))
    assert len(plain.axes[0].lines) == 1
    assert len(plain.legends[0].get_texts()) == 1


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ((1.0, 10.5), "log"),
        ((1.0, 9.5), "linear"),
        ((0.0, 1.0, 50.0), "linear"),
        ((-1.0, 1.0, 50.0), "linear"),
        ((0.001, 1e6), "log"),
        ((2.0, 2.0), "linear"),
        ((None, None), "linear"),
    ],
)
def test_the_axis_is_logarithmic_beyond_a_factor_of_ten(drawn, values, scale):
    (axes,) = drawn(line(values)).axes
    assert axes.get_yscale() == scale


def test_the_frame_holds_all_runs_and_no_band_squeezes_them(drawn):
    given = line((1.0, 4.0), (2.0, 4.0), (9.0, 4.0))
    low, high = drawn(given).axes[0].get_ylim()
    assert 0 < low < 1
    assert 9 < high < 10
    assert band(given.seeds, "images").high[0] > 10
    low, high = drawn(line((1.0, 100.0))).axes[0].get_ylim()
    assert 0.5 < low < 1
    assert 100 < high < 200


def test_ten_models_have_their_names_below_the_axes_and_on_the_figure(drawn):
    for labels in (LABELS, ("x" * 200, "y " * 100)):
        figure = drawn(*(line((1.0, 2.0), label=label, scored=True) for label in labels))
        figure.draw_without_rendering()
        names = figure.legends[0].get_window_extent()
        axes = figure.axes[0].get_tightbbox()
        assert names.y1 <= axes.y0
        assert figure.bbox.x0 <= names.x0 < names.x1 <= figure.bbox.x1
        assert names.y0 >= figure.bbox.y0
        assert figure.axes[0].get_window_extent().height > 100 * figure.dpi / 72


def test_colour_dash_and_mark_are_those_of_the_style(drawn):
    figure = drawn(*(line((1.0, 2.0), label=label) for label in LABELS[3:5]))
    for one, label in zip(figure.axes[0].lines, LABELS[3:5], strict=True):
        style = LOOKS[label]
        looks = to_hex(one.get_color()), one.get_linestyle(), one.get_marker()
        assert looks == (style.colour, style.dash, style.mark)


def test_twenty_eight_styles_differ():
    assert len(set(styles([str(index) for index in range(28)]).values())) == 28


def test_an_svg_follows_the_colour_scheme():
    svg = curves_figure("score", [line((1.0, 2.0), label=label) for label in LABELS]).decode()
    sheet, _, drawing = svg.partition("</style>")
    light, dark = sheet.split("@media(prefers-color-scheme:dark)")
    for index, pair in enumerate(zip(*COLOURS.values(), strict=True)):
        assert f"--c{index}:{pair[0]};" in light
        assert f"--c{index}:{pair[1]};" in dark
        assert f"stroke:var(--c{index})" in drawing
    assert f"--ink:{INKS['light']}" in light
    assert f"--ink:{INKS['dark']}" in dark
    assert not re.search("#[0-9a-f]{6}[^0-9a-f]", drawing)


@pytest.mark.filterwarnings("error")
def test_labels_of_strangers_are_text():
    labels = ("<script>", "$\\a$", "#0072b2 1.23456", "</style>&amp;", "生成", "nul\x00 end")
    svg = curves_figure("<y>$", [line((1.0, 2.0), label=label) for label in labels])
    texts = {node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text")}
    assert {*labels[:-1], "nul\ufffd end", "<y>$"} <= texts
    assert b"<script" not in svg


def test_a_figure_is_small_the_same_again_and_leaves_no_state():
    before = dict(matplotlib.rcParams)
    noisy = tuple(float(hash((i, 7)) % 1000) for i in range(5000))
    lines = [line(*(noisy[i:] + noisy[:i] for i in range(3)), label=label) for label in LABELS]
    svg = curves_figure("loss", lines)
    assert svg == curves_figure("loss", lines)
    assert len(svg) < 50_000
    assert len(curves_figure("loss", lines[:1])) < 10_000
    assert dict(matplotlib.rcParams) == before


def test_a_figure_takes_gaps_and_single_points(drawn):
    gap, nothing = line((1.0, None, 3.0), (1.0, None, 3.0)), line((None, None), label=LABELS[1])
    single = line((1.0,), label=LABELS[2], scored=True)
    assert curves_figure("loss", [gap, single, nothing])
    (axes,) = drawn(gap).axes
    assert [str(value) for _, value in xy(axes.lines[0])] == ["1.0", "nan", "3.0"]
