"""Curves on the page: which are shown, over which axes, and what is said of them in words."""

from html import unescape

import pytest

from gen_models.records import Curve
from gen_models.reporting import plots as module
from gen_models.reporting.drawing import styles
from gen_models.reporting.plots import plots, run_plots, score
from gen_models.reporting.report import find_runs, write_comparison, write_report

SCORE = "validation/fid_digits64_1293_validation"
SVG = b'<svg viewBox="0 0 4 3">'


def curve(name, *values, pace=1.0):
    """A value each 10 images, and each `pace` seconds unless that is 0."""
    count = range(1, len(values) + 1)
    seconds = tuple(pace * i for i in count) if pace else ()
    return Curve(name, tuple(10 * i for i in count), values, seconds)


@pytest.fixture
def scored(record):
    """A record with a selection score, and other curves."""

    def make(model, seed, *values, others=(), pace=1.0, **changes):
        curves = (*others, curve(SCORE, *values, pace=pace))
        return record(model, seed, **{"curves": curves, "selection": SCORE} | changes)

    return make


@pytest.fixture
def drawn(groups, monkeypatch):
    """What would be drawn for records: (quantity, lines, axis) of each figure, beside the plots."""

    def make(*records):
        calls = []
        monkeypatch.setattr(module, "curves_figure", lambda *call: calls.append(call) or SVG)
        return *plots(groups(*records)), calls

    return make


def test_the_score_comes_first_and_losses_of_two_families_never_meet(scored, drawn):
    def others(family):
        return (
            curve("validation/vae/rate_nats", 3.0, 2.0),
            curve("validation/active_units", 3.0, 2.0),
            curve(f"train/{family}/loss", 2.0, 1.0),
            curve("validation/generator/loss", 2.0, 1.0),
            curve("train/vae/rate_nats", 2.0, 1.0),
        )

    lonely = curve("validation/mean_nats", 1.0)
    shown, alone, calls = drawn(
        scored("vae", 0, 5.0, 4.0, others=(*others("vae"), lonely)),
        scored("gan", 0, 9.0, 8.0, others=others("generator")),
    )
    assert [plot.title for plot in shown] == [
        SCORE,
        "validation/vae/rate_nats",
        "validation/active_units",
    ]
    assert [len(plot.panels) for plot in shown] == [2, 2, 2]
    assert [(axis, [line.label for line in lines]) for _, lines, axis in calls[:6]] == [
        ("images", ["vae", "gan"]),
        ("seconds", ["vae", "gan"]),
    ] * 3
    assert [line.scored for line in calls[0][1]] == [True, True]
    assert not any(line.scored for line in calls[2][1])
    assert {label: [plot.title for plot in made] for label, made in alone.items()} == {
        "vae": ["rate_nats", "active_units", "loss", "mean_nats"],
        "gan": ["rate_nats", "active_units", "loss"],
    }
    assert [len(plot.panels) for plot in alone["gan"]] == [1, 1, 2]
    assert [line.label for line in calls[-1][1]] == ["train/generator", "validation/generator"]


def test_each_model_keeps_its_looks_where_another_is_missing(scored, drawn):
    looks = styles(["vae", "gan", "wgan"])
    units = (curve("validation/active_units", 1.0),)
    *_, calls = drawn(
        scored("vae", 0, 5.0, others=units),
        scored("gan", 0, 9.0),
        scored("wgan", 0, 9.0, others=units),
    )
    assert [line.style for line in calls[0][1]] == list(looks.values())
    assert [line.style for line in calls[2][1]] == [looks["vae"], looks["wgan"]]


def test_the_words_tell_best_place_and_last(scored, drawn):
    shown, *_ = drawn(
        scored("vae", 0, 30.0, 20.0, 20.0),
        scored("gan", 0, 50.0, 10.0, 40.0),
        scored("gan", 1, 50.0, 20.0, 18.0),
        scored("wgan", 0, None),
        scored("lsgan", 0, 10.0, 11.9),
        scored("toy", 0, 0.0, 2.0),
    )
    assert shown[0].told == (
        "vae: best 20.00 at 20 images, last 20.00",
        "gan: best 14.00 at 20 to 30 images, last 29.00 (means of 2 runs)",
        "wgan: no finite value",
        "lsgan: best 10.00 at 10 images, last 11.90",
        "toy: best 0 at 10 images, last 2.000",
    )
    assert shown[0].notes == (
        "Training ends above its best score: gan at 2.1 times; by it, best.ckpt is better than"
        " last.ckpt.",
    )


def test_who_ends_farthest_above_its_best_is_named_first(scored, drawn):
    shown, *_ = drawn(scored("a", 0, 10.0, 12.0), scored("b", 0, 10.0, 30.0))
    assert "score: b at 3.0 times and a at 1.2 times;" in shown[0].notes[0]


def test_what_is_no_score_is_told_from_first_to_last(scored, drawn):
    others = (curve("validation/rate_nats", None, 4.0, 1.0, 2.0, None),)
    shown, *_ = drawn(*(scored(m, s, 1.0, others=others) for m in ("a", "b") for s in (0, 1)))
    assert shown[1].told[0] == "a: first 4.000, last 2.000 (means of 2 runs)"
    assert shown[1].notes == ()


def test_seconds_that_cannot_be_compared_are_left_out_with_the_reason(scored, drawn):
    timed, old = scored("vae", 0, 5.0), scored("gan", 0, 5.0, pace=0)
    shown, *_ = drawn(timed, old)
    assert [len(plot.panels) for plot in shown] == [1]
    assert shown[0].notes == ("Not drawn over seconds, which were not recorded for gan.",)
    gpu = scored("gan", 0, 5.0, hardware={"device": "H100", "processor": "some processor"})
    shown, *_ = drawn(timed, gpu)
    assert [len(plot.panels) for plot in shown] == [1]
    assert shown[0].notes == (
        "Not drawn over seconds, because machines differ: cpu (some processor) and H100 (some"
        " processor).",
    )
    other = scored("gan", 0, 5.0, hardware={"device": "cpu", "processor": "another"})
    assert [len(plot.panels) for plot in drawn(timed, other)[0]] == [1]
    machine = timed.hardware | {"threads": 1}
    one, two, legs = (
        scored("vae", 0, 5.0, hardware=machine),
        scored("gan", 0, 5.0, hardware=machine | {"threads": 2}),
        scored("gan", 0, 5.0, hardware=machine | {"threads in training": "2, then 1"}),
    )
    assert [len(plot.panels) for plot in drawn(one, one)[0]] == [2]
    shown, *_ = drawn(one, two)
    assert [len(plot.panels) for plot in shown] == [1]
    assert shown[0].notes == (
        "Not drawn over seconds, because machines differ: cpu (some processor, threads 1) and cpu"
        " (some processor, threads 2).",
    )
    assert [len(plot.panels) for plot in drawn(one, legs)[0]] == [1]
    bystander = scored("gan", 0, curves=(), hardware={"device": "H100"})
    assert [len(plot.panels) for plot in drawn(timed, bystander)[0]] == [2]


def test_the_score_of_old_records_and_of_others_choice(scored, drawn):
    assert score(scored("vae", 0, 5.0)) == SCORE
    assert score(scored("vae", 0, 5.0, selection="")) == SCORE
    assert score(scored("vae", 0, curves=(), selection="")) == ""
    mine = scored(
        "vae", 0, 5.0, others=(curve("validation/mine", 1.0),), selection="validation/mine"
    )
    shown, _, calls = drawn(scored("gan", 0, 5.0), mine)
    assert [plot.title for plot in shown] == [SCORE, "validation/mine"]
    lines = {quantity: lines for quantity, lines, _ in calls}
    assert {line.label: line.scored for line in lines[f"{SCORE[11:]}\nlower is better"]} == {
        "gan": True,
        "vae": False,
    }


def test_unfinished_runs_and_empty_curves_are_not_drawn(scored, drawn):
    failed = scored("gan", 0, 5.0, status="failed", reason="memory")
    assert drawn(failed, scored("vae", 0)) == ([], {}, [])


def test_a_run_has_its_score_first_and_parts_in_one_figure(record):
    made = run_plots(
        record(
            curves=(
                curve("train/loss", 2.0, 1.0),
                curve("validation/loss", 2.0),
                curve(SCORE, 3.0),
            ),
            selection=SCORE,
        )
    )
    assert [plot.title for plot in made] == [SCORE[11:], "loss"]
    assert made[1].told == ("train: first 2.000, last 1.000", "validation: first 2.000, last 2.000")
    assert [panel.alt for panel in made[1].panels] == [
        "loss over images seen: train and validation",
        "loss over seconds of training: train and validation",
    ]


def test_a_diverged_curve_reaches_the_page(run, record):
    made = record(curves=(Curve("train/loss", (0,), (None,)),), status="diverged", reason="NaN")
    assert "train: no finite value" in write_report(run(made)).read_text()


def test_they_stand_on_the_page_and_in_markdown(tmp_path, run, scored):
    for model in ("<b>", "gan"):
        for seed in range(3):
            loss = (curve("train/loss", 3.0, 1.0 + seed),)
            run(scored(model, seed, 9.0, 2.0 + seed, 4.0, others=loss, pace=1.0 + seed))
    html = write_comparison(tmp_path, find_runs(tmp_path)).read_text()
    _, _, part = html.partition(">Curves</h3>")
    figure = part.partition("</figure>")[0].partition("<figure")[2]
    told = "<b>: best 3.000 at 20 images, last 4.000 (means of 3 runs)"
    assert told in unescape(figure)
    assert "<b>:" not in figure
    assert figure.count('src="data:image/svg+xml;base64,') == 2
    assert f'alt="{SCORE} over seconds of training: &lt;b&gt; and gan"' in figure
    assert "Losses and more of &lt;b&gt; (1)" in part
    markdown = (tmp_path / "report.md").read_text()
    assert "- &lt;b&gt;: best 3.000 at 20 images, last 4.000 (means of 3 runs)" in markdown
