"""Extractors that order the models differently are named; those that agree take one sentence."""

import pytest

from gen_models.reporting.agreement import condensed, disagreements
from gen_models.reporting.report import find_runs, write_comparison
from gen_models.reporting.tables import measurement_table
from tests.reporting.test_report import Page


@pytest.fixture
def table(record, value, groups):
    """A table of vae and gan, one run each: by extractor, their numbers and errors."""

    def make(title="Frechet distance", **views):
        def values(model):
            return [
                value(
                    numbers[model],
                    f"fid_{extractor}_{title}",
                    title=title,
                    extractor=extractor,
                    error=numbers[2],
                    **(numbers[3] if len(numbers) > 3 else {}),
                )
                for extractor, numbers in views.items()
            ]

        return measurement_table(groups(record("vae", 0, *values(0)), record("gan", 0, *values(1))))

    return make


def test_a_disagreement_names_both_extractors(table):
    strong, weak = disagreements(table(digits64=(2.0, 1.0, 0.1), random128=(5.0, 9.0, 0.2)))
    assert strong == [
        "The extractors disagree on Frechet distance, beyond their errors: by digits64 gan is ahead"
        " of vae, by random128 vae of gan; trust neither alone."
    ]
    assert weak == []


@pytest.mark.parametrize("doubtful", ["digits64", "random128"])
def test_it_is_strong_only_where_both_are_beyond_their_errors(table, doubtful):
    errors = {"digits64": 0.1, "random128": 0.1, doubtful: 3.0}
    views = {name: (*pair, errors[name]) for name, pair in PAIRS.items()}
    strong, weak = disagreements(table(**views))
    assert strong == []
    assert weak[0].startswith("The extractors disagree on Frechet distance, within their errors:")


PAIRS = {"digits64": (2.0, 1.0), "random128": (5.0, 9.0)}


def test_agreement_is_one_sentence(table):
    assert disagreements(table(digits64=(1.0, 2.0, 0.1), random128=(5.0, 9.0, 0.1))) == (
        [],
        ["The extractors digits64 and random128 order the models alike on all that they share."],
    )


def test_one_extractor_or_another_direction_says_nothing(table):
    assert disagreements(table(digits64=(1.0, 2.0, 0.1))) == ([], [])
    up = {"better": "higher"}
    turned = table(digits64=(1.0, 2.0, 0.1), random128=(5.0, 9.0, 0.1, up))
    assert disagreements(turned) == ([], [])


def test_a_tie_takes_no_side(table):
    strong, weak = disagreements(table(digits64=(2.0, 1.0, 0.1), random128=(5.0, 5.0, 0.1)))
    assert (strong, len(weak)) == ([], 1)
    assert "alike" in weak[0]


def test_every_pair_of_three_models_is_looked_at(record, value, groups):
    numbers = {"vae": (1.0, 9.0), "gan": (2.0, 8.0), "ppca": (3.0, 10.0)}
    made = groups(
        *(
            record(
                model,
                0,
                value(a, "a", extractor="digits64", error=0.01),
                value(b, "b", extractor="random128", error=0.01),
            )
            for model, (a, b) in numbers.items()
        )
    )
    strong, weak = disagreements(measurement_table(made))
    assert weak == []
    assert len(strong) == 1
    assert "by digits64 vae is ahead of gan, by random128 gan of vae" in strong[0]


def test_other_sample_counts_are_other_questions(record, value, groups):
    """Of fewer images the order turned round: that is no disagreement of the extractors."""

    def values(model):
        return [
            value(numbers[model], f"fid_{view}_{count}_test", extractor=view, error=0.01)
            for view, count, numbers in (
                ("digits64", 1000, (1.0, 2.0)),
                ("random128", 1000, (5.0, 9.0)),
                ("random128", 100, (9.0, 5.0)),
            )
        ]

    made = groups(record("vae", 0, *values(0)), record("gan", 0, *values(1)))
    strong, (told,) = disagreements(measurement_table(made))
    assert strong == []
    assert "alike" in told


TITLES, ERRORS = ("Frechet", "Kernel", "Doubtful"), (0.01, 0.01, 50.0)


def test_several_strong_disagreements_are_one_sentence_that_counts_pairs(record, value, groups):
    """Of three pairs two are turned; one of them by two measurements, and counted once."""
    numbers = {
        "vae": ((1.0, 9.0), (1, 2)),
        "gan": ((2.0, 8.0), (2, 1)),
        "ppca": ((3.0, 8.5), (9, 9)),
    }
    made = groups(
        *(
            record(
                model,
                0,
                *(
                    value(float(x), f"{title}_{view}", title=title, extractor=view, error=error)
                    for title, pair, error in zip(TITLES, (*pairs, pairs[0]), ERRORS, strict=True)
                    for view, x in zip(("digits64", "random128"), pair, strict=True)
                ),
            )
            for model, pairs in numbers.items()
        )
    )
    table = measurement_table(made)
    assert len(disagreements(table)[0]) == 2
    assert condensed(table) == [
        "The extractors digits64 and random128 order 2 of 3 pairs of models differently, beyond"
        " their errors, on at least one of Frechet and Kernel: trust neither alone; each is listed"
        " under all findings."
    ]


def test_one_strong_disagreement_is_told_as_it_is_and_a_weak_one_not(table):
    strong = table(digits64=(2.0, 1.0, 0.1), random128=(5.0, 9.0, 0.2))
    assert condensed(strong) == disagreements(strong)[0]
    assert len(condensed(strong)) == 1
    assert condensed(table(digits64=(2.0, 1.0, 3.0), random128=(5.0, 9.0, 0.2))) == []


def test_a_strong_disagreement_is_a_warning_on_the_page(tmp_path, run, record, value):
    numbers = {"vae": {"digits64": 2.0, "random128": 5.0}, "gan": {"digits64": 1.0, "random128": 9}}
    for model, views in numbers.items():
        values = [
            value(float(number), f"{title}_{view}", title=title, extractor=view, error=error)
            for title, error in (("Frechet", 0.1), ("Kernel", 50.0))
            for view, number in views.items()
        ]
        run(record(model, 0, *values, sampling=f"by {model}"))
    folder = tmp_path / "sweep"
    html = write_comparison(folder, find_runs(folder)).read_text()
    markdown = (folder / "report.md").read_text()
    _, _, warning = html.partition('<div class="warning">')
    assert "disagree on Frechet, beyond" in warning.partition("</div>")[0]
    assert "**The extractors disagree on Frechet, beyond" in markdown
    # Averaged weights against those at the end bear on every claim: not to be looked up.
    assert "Samples are not drawn alike" in warning.partition("</div>")[0]
    for text in (Page(html).text, markdown):
        assert "disagree on Kernel, within" in text
        assert "Samples are not drawn alike: by vae (vae); by gan (gan)." in text
