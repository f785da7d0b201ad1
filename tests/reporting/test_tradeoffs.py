"""Trade-offs: both values of the same protocol, one point a run, told in words too."""

from html import unescape

import matplotlib
import pytest

from gen_models.reporting import tradeoffs as module
from gen_models.reporting.drawing import COLOURS, styles
from gen_models.reporting.figures import Cloud, clouds_figure
from gen_models.reporting.report import find_runs, write_comparison
from gen_models.reporting.tables import measurement_table
from gen_models.reporting.tradeoffs import tradeoffs

TAIL = "k3_digits64_1000_test"
NUMBERS = (("vae", "0.2000", "0.5000"), ("gan", "0.1000", "0.9000"))
"""Models with recall and precision."""
DENSITY = "1 for equal distributions"
SVG = b'<svg viewBox="0 0 4 3">'


@pytest.fixture
def pair(value):
    """Precision and recall of one run; None stands for a value that is not there."""

    def make(precision, recall, tail=TAIL, **changes):
        given = {"precision": precision, "recall": recall}
        return [
            value(
                x,
                f"{name}_{tail}",
                **{"title": name.title(), "unit": "share", "better": "higher"} | changes,
            )
            for name, x in given.items()
        ]

    return make


@pytest.fixture
def drawn(groups, monkeypatch):
    """What would be drawn for records: labels of the axes and clouds, once for each plot."""

    def make(*records):
        calls = []

        def figure(x, y, clouds):
            calls.append((x, y, tuple(clouds)))
            return SVG

        monkeypatch.setattr(module, "clouds_figure", figure)
        made = groups(*records)
        plots = tradeoffs(made, measurement_table(made))
        return plots, calls

    return make


def test_one_point_a_run_and_one_cloud_a_model(record, pair, drawn):
    plots, calls = drawn(
        record("vae", 0, *pair(0.5, 0.25)),
        record("vae", 1, *pair(0.75, 0.125)),
        record("gan", 0, *pair(0.9, 0.1)),
        record("ppca", 0, *pair(0.2, 0.8)),
    )
    looks = styles(["vae", "gan", "ppca"])
    vae = Cloud("vae", looks["vae"], ((0.25, 0.5), (0.125, 0.75)))
    gan = Cloud("gan", looks["gan"], ((0.1, 0.9),))
    ppca = Cloud("ppca", looks["ppca"], ((0.8, 0.2),))
    axes = ("Recall\nshare, higher is better", "Precision\nshare, higher is better")
    assert calls == [(*axes, (vae, gan, ppca))]
    assert plots[0].panels[0].alt == (
        "Precision (share, higher is better), upwards, against Recall (share, higher is better), to"
        " the right; one point a run"
    )
    assert plots[0].told == (
        "vae: Recall 0.1875, Precision 0.6250 (means of 2 runs)",
        "gan: Recall 0.1000, Precision 0.9000 (1 run)",
        "ppca: Recall 0.8000, Precision 0.2000 (1 run)",
    )


def test_the_other_pairs_and_an_axis_without_direction(record, value, drawn):
    names = ("density_k5_a_9", "coverage_k5_a_9", "probe_rate_nats_9", "probe_distortion_nats_9")
    values = [
        value(float(i) / 4, name, title=name, better=None) for i, name in enumerate(names, start=1)
    ]
    _, calls = drawn(record("vae", 0, *values), record("gan", 0, *values))
    assert [(x, y, clouds[0].points) for x, y, clouds in calls] == [
        ("coverage_k5_a_9\nshare", f"density_k5_a_9\n{DENSITY}", ((0.5, 0.25),)),
        ("probe_distortion_nats_9\nnats", "probe_rate_nats_9\nnats", ((1.0, 0.75),)),
    ]


def test_nothing_is_drawn_for_fewer_than_two_models_with_both(record, pair, drawn):
    assert drawn(record("vae", 0, *pair(0.5, 0.2))) == ([], [])
    lacking = record("gan", 0, *pair(0.5, None))
    assert drawn(record("vae", 0, *pair(0.5, 0.2)), lacking) == ([], [])
    failed = record("gan", 0, *pair(0.5, 0.2), status="failed", reason="out of memory")
    assert drawn(record("vae", 0, *pair(0.5, 0.2)), failed) == ([], [])


def test_a_run_with_one_of_the_two_is_left_out_alone(record, pair, drawn):
    _, ((_, _, clouds),) = drawn(
        record("vae", 0, *pair(0.5, 0.2)),
        record("vae", 1, *pair(0.7, None)),
        record("vae", 2, *pair(None, 0.3)),
        record("gan", 0, *pair(0.9, 0.1)),
    )
    assert [cloud.points for cloud in clouds] == [((0.2, 0.5),), ((0.1, 0.9),)]


def test_protocols_are_never_mixed(record, pair, drawn):
    """Neither another k or extractor, which the name tells, nor what it does not tell."""
    other = record("gan", 0, *pair(0.9, 0.1, "k5_digits64_1000_test"))
    assert drawn(record("vae", 0, *pair(0.5, 0.2)), other) == ([], [])
    crossed = [pair(0.9, 0.1)[0], pair(0.9, 0.1, "k3_random128_1000_test")[1]]
    assert drawn(record("vae", 0, *crossed), record("gan", 0, *crossed)) == ([], [])
    other = record("gan", 0, *pair(0.9, 0.1, protocol="other"))
    most = [record(model, 0, *pair(0.5, 0.2)) for model in ("vae", "pca")]
    assert drawn(most[0], other) == ([], [])
    assert drawn(*most, other) == ([], [])


def test_a_model_looks_the_same_where_another_is_missing(record, pair, drawn):
    _, ((_, _, clouds),) = drawn(
        record("vae", 0, *pair(0.5, 0.2)),
        record("gan", 0, *pair(0.5, None)),
        record("ppca", 0, *pair(0.9, 0.1)),
    )
    looks = styles(["vae", "gan", "ppca"])
    assert [cloud.style for cloud in clouds] == [looks["vae"], looks["ppca"]]


@pytest.fixture
def figure(monkeypatch):
    """Draw clouds, and return the figure itself."""

    def make(*given):
        shown = []
        monkeypatch.setattr("gen_models.reporting.figures.svg", shown.append)
        clouds_figure(*given)
        return shown[0]

    return make


def test_runs_means_and_axes_are_on_the_figure(figure):
    looks = styles(["a$b$", "b"])
    clouds = [
        Cloud("a$b$", looks["a$b$"], ((0.0, 1.0), (1.0, 2.0))),
        Cloud("b", looks["b"], ((3.0, 4.0),)),
    ]
    made = figure("x $", "y", clouds)
    (axes,) = made.axes
    runs, means = axes.collections, axes.lines
    assert [spots.get_offsets().tolist() for spots in runs] == [[[0, 1], [1, 2]], [[3, 4]]]
    assert [mean.get_xydata().tolist() for mean in means] == [[[0.5, 1.5]], [[3, 4]]]
    for index in (0, 1):
        hues = runs[index].get_facecolor()[0], means[index].get_markeredgecolor()
        assert {matplotlib.colors.to_hex(hue) for hue in hues} == {COLOURS["light"][index]}
        assert means[index].get_markerfacecolor() == "none"
        assert means[index].get_markersize() ** 2 > 2 * runs[index].get_sizes()[0]
    assert [mean.get_marker() for mean in means] == ["o", "s"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x $", "y")
    assert [text.get_text() for text in made.legends[0].get_texts()] == ["a$b$", "b"]


def test_a_dollar_is_no_formula():
    style = styles(["$\\a$"])["$\\a$"]
    svg = clouds_figure("$x_$", "$\\y$", [Cloud("$\\a$", style, ((1.0, 2.0),))])
    assert all(text in svg for text in (b">$x_$<", b">$\\y$<", b">$\\a$<"))


def test_long_labels_stay_on_their_axes(figure):
    long = "Probe distortion of a name that is long\n1 for equal distributions, higher is better"
    made = figure(long, long, [Cloud("a", styles(["a"])["a"], ((1.0, 2.0),))])
    made.draw_without_rendering()
    (axes,) = made.axes
    for label in (axes.xaxis.label, axes.yaxis.label):
        box = label.get_window_extent()
        assert made.bbox.contains(*box.min)
        assert made.bbox.contains(*box.max)


def test_they_stand_on_the_page(tmp_path, run, record, pair):
    for model, x, y in NUMBERS:
        run(record(model, 0, *pair(float(y), float(x))))
    html = write_comparison(tmp_path, find_runs(tmp_path)).read_text()
    _, _, part = html.partition(">Trade-offs</h3>")
    figure = unescape(part.partition("</figure>")[0])
    told = [f"{m}: Recall {x}, Precision {y} (1 run)" for m, x, y in NUMBERS]
    assert all(f"<li>{line}</li>" in figure for line in told)
    assert figure.count("data:image/svg+xml;base64,") == 1
    _, _, part = (tmp_path / "report.md").read_text().partition("### Trade-offs\n")
    listed = "\n".join(f"- {line}" for line in told)
    assert part.partition("###")[0].strip() == f"**Precision against Recall**\n\n{listed}"


def test_a_page_without_them_has_no_heading_for_them(tmp_path, run, record):
    run(record("vae"))
    run(record("gan"))
    assert "Trade-offs" not in write_comparison(tmp_path, find_runs(tmp_path)).read_text()
