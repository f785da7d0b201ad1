"""Many values in order: by aspect, with their anchors, and both doubts about each told apart."""

import io
import re

import pytest
import scipy.stats
from markupsafe import escape
from rich.console import Console

from gen_models.records import ASPECTS, Anchor
from gen_models.reporting import words
from gen_models.reporting.report import find_runs, write_comparison, write_report
from gen_models.reporting.tables import measurement_table, run_table
from gen_models.reporting.terminal import print_table
from tests.reporting.test_report import Page

VIEWS = ("digits64", "random128")
TITLES = (("Precision", "fidelity"), ("Frechet", "distance"), ("Kernel", "distance"))


@pytest.fixture
def many(value):
    """Values of two extractors, with aspects in the wrong order."""

    def make(shift=0.0):
        return [
            value(1.0 + shift, "rate", title="Rate", aspect="likelihood"),
            *(
                value(2.0 + shift, f"{name}_{view}", title=name, aspect=aspect, extractor=view)
                for view in VIEWS
                for name, aspect in TITLES
            ),
        ]

    return make


def test_rows_stand_by_aspect_and_views_together(record, many, groups):
    single = run_table(record("vae", 0, *many()))
    several = measurement_table(groups(record("vae", 0, *many()), record("gan", 0, *many(1.0))))
    for table in (single, several):
        assert [(aspect, [row.head.text for row in rows]) for aspect, rows in table.parts] == [
            ("Distance", [f"{t} by {e}" for t in ("Frechet", "Kernel") for e in VIEWS]),
            ("Fidelity", [f"Precision by {e}" for e in VIEWS]),
            ("Likelihood", ["Rate"]),
        ]


def test_one_extractor_alone_is_not_named_in_a_heading(record, value):
    made = record("vae", 0, value(1.0, extractor="digits64"), value(2.0, "b", title="Other"))
    assert [row.head.text for row in run_table(made).rows] == ["Frechet distance", "Other"]


def test_every_aspect_has_its_place(record, value):
    values = [value(1.0, aspect, aspect=aspect) for aspect in reversed(ASPECTS)]
    parts = run_table(record("vae", 0, *values)).parts
    assert [aspect.lower() for aspect, _ in parts] == list(ASPECTS)


def test_values_without_aspect_keep_their_order_and_get_no_heading(record, value, run):
    made = record("vae", 0, value(1.0, "b"), value(2.0, "a", title="Other"), value(3.0, "c"))
    (part,) = run_table(made).parts
    assert (part[0], [row.values[0].name for row in part[1]]) == ("", ["b", "a", "c"])
    page = Page(write_report(run(made)).read_text())
    assert "rowgroup" not in {attributes["scope"] for attributes in page.all("th")}


def test_pages_have_a_heading_for_each_aspect(tmp_path, run, record, many):
    run(record("vae", 0, *many()))
    run(record("gan", 0, *many(1.0)))
    folder = tmp_path / "sweep"
    html = write_comparison(folder, find_runs(folder)).read_text()
    # Models in rows have a table for each aspect.
    captions = re.findall(r"<caption><span>(.*?)</span>", html)
    assert captions[:3] == ["Distance", "Fidelity", "Likelihood"]
    single = write_report(folder / "0").read_text()
    heads = [th for th in Page(single).all("th") if th["scope"] == "rowgroup"]
    assert [attributes["colspan"] for attributes in heads] == ["7"] * 3
    # Each heading opens a group of rows of its own: that is what the scope speaks of.
    opened = re.findall(r'<tbody>\s*<tr class="aspect"><th scope="rowgroup"', single)
    assert len(opened) == 3
    markdown = (folder / "report.md").read_text().splitlines()
    assert [line for line in markdown if line.startswith("| **")] == [
        f"| **{aspect}** |  |  |  |  |  |" for aspect in ("Distance", "Fidelity", "Likelihood")
    ]


def test_a_number_stays_on_one_line_and_nothing_else_is_touched(tmp_path, run, record, value):
    command = "python run.py 'p = 3 %' model.optimizer.lr=2e-04"
    for model, number in (("vae", 1.0), ("gan", 9.0)):
        for seed in (0, 1):
            one = value(number + number * 1e-6 * seed, error=1e-7)
            run(record(model, seed, one, command=command, config={"lr": 1e-05}))
    html = write_comparison(tmp_path, find_runs(tmp_path)).read_text()
    assert "p\u00a0&lt;\u00a00.001" in html
    assert "ahead in 100\u00a0% of pairs" in html
    assert "seeds 7.1e\u201107, run 1.0e\u201107" in html
    assert str(escape(command)) in html


def test_the_terminal_shows_the_first_extractor_alone(record, many, tmp_path):
    stream = io.StringIO()
    print_table(record("vae", 0, *many()), Console(file=stream, width=80), tmp_path)
    lines = [line.strip() for line in stream.getvalue().splitlines()]
    firsts = [line.split(" ↓")[0] for line in lines[2:-2]]
    assert firsts == [
        "Distance",
        "Frechet",
        "Kernel",
        "Fidelity",
        "Precision",
        "Likelihood",
        "Rate",
    ]
    assert lines[-2] == "3 more values by random128 in the report."


def test_further_anchors_are_lines_under_the_ceiling(record, value, groups):
    def anchored(seed, mean):
        anchors = (Anchor(mean, "the mean image"), Anchor(3.0, "blurred test images"))
        return record("vae", seed, value(1.0 + seed, anchors=anchors))

    lines = ("uniform noise", "7.000: the mean image", "3.000: blurred test images")
    ceiling = run_table(anchored(0, 7.0)).rows[0].cells[-1]
    assert (ceiling.text, ceiling.notes) == ("99.00", lines)
    both = measurement_table(groups(anchored(0, 7.0), anchored(1, 8.0))).rows[0].cells[-1]
    assert both.notes[1] == "7.000 to 8.000: the mean image"


def test_the_doubt_between_seeds_and_within_a_run_are_told_apart(record, value, groups):
    numbers, errors = (10.0, 20.0, 33.0), (0.5, 0.7, 1.1)

    def cell(*errors):
        pairs = enumerate(zip(numbers, errors, strict=True))
        made = groups(*(record("vae", s, value(x, error=e)) for s, (x, e) in pairs))
        return measurement_table(made).rows[0].cells[0]

    between = scipy.stats.tstd(numbers)
    within = (sum(error**2 for error in errors) / 3) ** 0.5
    assert cell(*errors).notes == (f"between seeds {between:.0f}, within a run {within:.2f}",)
    assert cell(0.5, None, 1.1).notes == ()


def test_a_cell_says_how_far_it_is_from_floor_to_ceiling(record, value, groups):
    ends = {"floor": Anchor(0.0, "real"), "ceiling": Anchor(10.0, "noise")}
    values = [value(v, aspect="distance", **ends) for v in (2.5, 12.0)]
    made = groups(record("vae", 0, values[0]), record("gan", 0, values[1]))
    table = measurement_table(made)
    assert [cell.notes[0] for cell in table.rows[0].cells[:2]] == [
        f"{percent} % from floor to ceiling" for percent in (25, 120)
    ]
    assert words.positions(["vae", "gan"], table) == [
        "No better than the trivial model: gan on Frechet distance."
    ]
    assert run_table(made[0].records[0]).rows[0].cells[0].notes == ("25 % from floor to ceiling",)


@pytest.mark.parametrize(
    ("better", "way"), [("higher", "0 % from floor to ceiling"), ("lower", "")]
)
def test_where_noise_beats_real_data_there_is_no_way_between_them(record, value, better, way):
    ends = {"floor": Anchor(1.0, "real"), "ceiling": Anchor(0.0, "noise"), "better": better}
    made = record("vae", 0, value(1.0, aspect="fidelity", **ends))
    table = run_table(made)
    assert table.rows[0].cells[0].notes == (way,)
    # 100 % of that way would be called no better than noise.
    best = run_table(record("vae", 0, value(-1.0, "kid_9", aspect="fidelity", **ends)))
    assert bool(words.positions(["vae"], best)) == (better == "higher")


def test_between_held_out_images_and_copies_there_is_no_way_to_measure(record, value):
    """Of copying, neither end is better: a percentage of the way would read as a score."""
    ends = {"floor": Anchor(0.9, "validation images"), "ceiling": Anchor(-18.2, "copies")}
    for better in (None, "lower"):
        copying = value(9.9, "copying_9", aspect="memorisation", better=better, **ends)
        made = record("vae", 0, copying)
        assert run_table(made).rows[0].cells[0].notes == ("",)
        assert words.positions(["vae"], run_table(made)) == []


def test_a_tiny_part_of_the_way_is_none(record, value):
    ends = {"floor": Anchor(0.0, "real"), "ceiling": Anchor(1e12, "noise")}
    table = run_table(record("vae", 0, value(3.0, aspect="distance", **ends)))
    assert table.rows[0].cells[0].notes == ("0 % from floor to ceiling",)
    ends["ceiling"] = Anchor(0.02, "noise")
    table = run_table(record("vae", 0, value(3.0, aspect="distance", **ends)))
    assert table.rows[0].cells[0].notes == ("15,000 % from floor to ceiling",)


def test_sentences_on_aspects_give_p_alone(record, value, groups):
    numbers = {"vae": ((1.0, 1.1), (3.0, 3.2)), "gan": ((2.0, 2.3), (5.0, 5.21))}
    made = groups(
        *(
            record(
                model,
                seed,
                value(distances[seed], aspect="distance"),
                value(losses[seed], "b", title="Error", aspect="reconstruction"),
                value(1.0, "c", title="Coverage"),
            )
            for model, (distances, losses) in numbers.items()
            for seed in (0, 1)
        )
    )
    p, small = (scipy.stats.ttest_rel(*pair).pvalue for pair in zip(*numbers.values(), strict=True))
    assert small < 0.05 < p
    assert words.findings(["vae", "gan"], measurement_table(made)) == [
        f"Reconstruction: vae is better on Error (p = {small:.2g}).",
        f"Distance: The tests allow no winner on Frechet distance (p = {p:.2g}).",
        "No test without a spread, so no winner is named on Coverage.",
    ]


@pytest.mark.parametrize(
    ("ways", "told"),
    [
        (
            ("evaluation mode",) * 2,
            (["Samples of all models are drawn alike: evaluation mode."], []),
        ),
        (
            ("weights at the end", "averaged weights"),
            (
                [],
                ["Samples are not drawn alike: weights at the end (vae); averaged weights (gan)."],
            ),
        ),
        (
            ("weights at the end", ""),
            ([], ["Samples are not drawn alike: weights at the end (vae); not recorded (gan)."]),
        ),
        (("", ""), ([], [])),
    ],
)
def test_how_samples_were_drawn_is_said(record, groups, run, ways, told):
    records = [record(m, sampling=way) for m, way in zip(("vae", "gan"), ways, strict=True)]
    assert words.sampling(groups(*records)) == told
    page = Page(write_report(run(records[0])).read_text())
    assert ("Sampling" in page.text) == bool(ways[0])
    assert ways[0] in page.text


def test_a_value_that_says_another_again_is_tested_once(record, value, groups):
    made = groups(
        *(
            record(
                model,
                0,
                value(distance, error=0.1, aspect="distance"),
                value(
                    2 * distance,
                    "again",
                    error=0.2,
                    title="Twice",
                    aspect="distance",
                    restates="Frechet distance",
                ),
            )
            for model, distance in (("vae", 1.0), ("gan", 2.0))
        )
    )
    table = measurement_table(made)
    assert [row.contest is None for row in table.rows] == [False, True]
    assert "restates Frechet distance" in table.rows[1].cells[-3].notes
    assert len(words.findings(["vae", "gan"], table)) == 1
