"""The headline: known numbers give known answers, and no answer says more than its test."""

import re
from dataclasses import replace
from statistics import median

import pytest
from scipy.stats import norm, ttest_ind, ttest_rel

from gen_models.records import Budget, Event
from gen_models.reporting.costs import cost_table
from gen_models.reporting.findings import all_findings, warnings
from gen_models.reporting.headline import headline
from gen_models.reporting.report import find_runs, write_comparison
from gen_models.reporting.tables import measurement_table
from gen_models.reporting.words import origins
from tests.reporting.test_report import EVIL, Page

NOTHING = "Nothing to compare; python -m gen_models.evaluate measures trained runs again, alike"
NEAR, FAR = (1.0, 1.1, 1.2), (5.0, 5.2, 5.1)


@pytest.fixture
def answered(groups):
    """The answers on records, by subject."""

    def make(*records):
        made = groups(*records)
        return {a.subject: a for a in headline(made, measurement_table(made), cost_table(made))}

    return make


@pytest.fixture
def fidelity(record, value, answered):
    """The answer on fidelity: by model, by extractor, the numbers of seeds 0, 1, ...; errors."""

    def make(error=None, better="lower", **models):
        return answered(
            *(
                record(
                    model,
                    seed,
                    *(
                        value(
                            numbers[seed],
                            f"fid_{view}_1000_test",
                            extractor=view,
                            error=error,
                            better=better,
                        )
                        for view, numbers in views.items()
                    ),
                )
                for model, views in models.items()
                for seed in range(len(next(iter(views.values()))))
            )
        )["Fidelity"]

    return make


def test_a_winner_is_named_with_both_numbers_their_distance_and_the_test(fidelity):
    found = fidelity(vae={"digits64": FAR}, gan={"digits64": NEAR})
    p = ttest_rel(NEAR, FAR).pvalue
    assert p < 0.001
    assert found.question == "Are samples like real ones?"
    assert found.sentence == "gan is ahead of vae."
    assert found.evidence == (
        "Frechet distance: gan 1.100 [0.8516, 1.348] against vae 5.100 [4.852, 5.348], squared"
        " feature units; 4.00 apart (p < 0.001).",
    )
    assert found.sure == "Decided: paired t over 3 seeds"


@pytest.mark.parametrize(("better", "first"), [("lower", "vae"), ("higher", "gan")])
def test_without_a_winner_both_are_named_and_none_wins(fidelity, better, first):
    vae, gan = (1.0, 2.0, 3.0), (2.0, 1.0, 3.5)
    found = fidelity(vae={"digits64": vae}, gan={"digits64": gan}, better=better)
    assert found.sentence == "No winner between the two models."
    assert found.evidence[0].startswith(f"Frechet distance: {first} 2.")
    assert found.evidence[0].endswith(f"0.167 apart (p = {ttest_rel(vae, gan).pvalue:.2f}).")
    assert found.sure == "Undecided: paired t over 3 seeds"


def test_leaders_are_those_that_no_test_puts_behind_the_first(fidelity):
    """One run each: z of 0.5 within the lead and of 40 behind it, Holm's correction by hand."""
    numbers = {"vae": 9.0, "gan": 1.0, "wgan": 1.1, "bigan": 9.5}
    error = 0.2 / 2**0.5
    found = fidelity(error=error, **{m: {"digits64": (x,)} for m, x in numbers.items()})
    assert found.sentence == "gan and wgan lead, gan ahead of all others but wgan."
    # Of six pairs this one has the largest p, so that Holm multiplies it by one.
    largest = 2 * norm.sf(0.1 / 0.2)
    assert f"0.100 apart (p = {largest:.2f}, the largest of 3)" in found.evidence[0]
    assert found.sure.startswith("Decided in part: one training each, another seed may differ")
    assert found.sure.endswith("Holm's correction")
    alone = fidelity(error=0.001, **{m: {"digits64": (x,)} for m, x in numbers.items()})
    assert alone.sentence == "gan is ahead of all others."
    assert alone.sure.startswith("Decided: one training each")


def test_the_number_beside_the_first_is_the_one_hardest_to_tell_from_it(fidelity):
    """The second by its mean is steady and told apart; the third varies and is not."""
    found = fidelity(
        gan={"digits64": (1.0, 1.1, 1.2)},
        vae={"digits64": (2.0, 2.1, 2.201)},
        bigan={"digits64": (0.5, 9.0, 1.0)},
    )
    # Not told from the first, and yet behind one that is: to lead takes more than scatter.
    assert found.sentence == "gan leads, ahead of all others but bigan."
    assert "gan 1.100 [0.8516, 1.348] and bigan 3.500" in found.evidence[0]


def test_a_lone_run_far_behind_does_not_lead_for_want_of_a_test(fidelity):
    found = fidelity(
        **{"vae": {"digits64": NEAR}, "wgan": {"digits64": FAR}, "gan": {"digits64": (900.0,)}}
    )
    assert found.sentence == "vae leads, ahead of all others but gan (not tested: gan)."
    assert "and gan 900.0" in found.evidence[0]
    assert "no test with one run against several" in found.evidence[0]
    among = fidelity(
        **{"vae": {"digits64": NEAR}, "wgan": {"digits64": FAR}, "gan": {"digits64": (3.0,)}}
    )
    assert among.sentence == found.sentence


def test_models_that_are_the_same_lead_together(fidelity):
    """Nothing varies between the first two, so that no test is made, and none is needed."""
    found = fidelity(vae={"digits64": NEAR}, gan={"digits64": NEAR}, wgan={"digits64": FAR})
    assert found.sentence == "vae and gan lead, vae ahead of all others but gan."


@pytest.mark.parametrize(
    ("random128", "told"),
    [
        (
            (FAR, NEAR),
            "By digits64 vae is ahead of gan; by random128 gan is ahead of vae: the extractors"
            " disagree, trust neither alone.",
        ),
        ((NEAR, FAR), "vae is ahead of gan, by digits64 and random128 alike."),
        (
            ((1.0, 2.0, 3.0), (2.0, 1.0, 3.5)),
            "By digits64 vae is ahead of gan; by random128 no winner between the two models.",
        ),
    ],
)
def test_two_extractors_answer_in_one_sentence(fidelity, random128, told):
    found = fidelity(
        vae={"digits64": NEAR, "random128": random128[0]},
        gan={"digits64": FAR, "random128": random128[1]},
    )
    assert found.sentence == told
    heads = [line.partition(":")[0] for line in found.evidence]
    assert heads == [f"Frechet distance by {view}" for view in ("digits64", "random128")]


def test_a_lone_run_ahead_of_tested_models_is_told_of_alone(fidelity):
    """The two behind it are tested against each other: "no test among the three" would be false."""
    found = fidelity(gan={"digits64": (0.1,)}, vae={"digits64": NEAR}, wgan={"digits64": FAR})
    assert found.sentence == "gan has the best mean, and no test."


@pytest.mark.parametrize(
    ("vae", "gan", "told", "why"),
    [
        ((1.0,), (2.0,), "test", "without an error of each run"),
        ((1.0,), NEAR, "test", "with one run against several"),
        ((25.0, 25.0), (25.0, 25.0), "difference", "without a spread"),
    ],
)
def test_where_no_test_is_possible_nobody_wins(fidelity, vae, gan, told, why):
    found = fidelity(vae={"digits64": vae}, gan={"digits64": gan})
    assert found.sentence == f"No {told} between the two models."
    assert f"(no test {why})" in found.evidence[0]
    assert found.sure == f"No test possible: {why}"


@pytest.mark.parametrize("holders", [("vae", "gan", "wgan"), ("vae", "gan")])
def test_likelihood_is_answered_by_the_strongest_instrument_that_all_models_share(
    record, value, answered, holders
):
    def values(model, number):
        up = {"better": "higher", "error": 0.1, "unit": "nats per image", "aspect": "likelihood"}
        bound = value(number, "probe_bound_nats_test", title="Probe bound", **up)
        annealed = value(-number, "log_likelihood_ais10_test_64", title="Annealed", **up)
        own = value(-number, "log_likelihood_iw50_own_test", title="Own", **up)
        restated = value(number, "log_likelihood_exact_x", title="Again", restates="Own", **up)
        return [
            bound,
            restated,
            *([annealed] if model in holders else []),
            *([own][: model == "x"]),
        ]

    numbers = {"vae": 1.0, "gan": 5.0, "wgan": 9.0}
    found = answered(*(record(m, 0, *values(m, x)) for m, x in numbers.items()))["Likelihood"]
    every = len(holders) == 3
    assert found.sentence == f"{'vae' if every else 'wgan'} is ahead of all others."
    assert found.evidence[0].startswith("Annealed:" if every else "Probe bound:")
    # What only some models have is no second opinion on all of them.
    assert [line for line in found.evidence if "Annealed" in line] == [*found.evidence[:every]]
    assert found.evidence[1:] == (("Probe bound: wgan (p < 0.001).",) if every else ())


def test_of_a_crowd_the_first_is_named_and_the_rest_is_counted(record, value, answered):
    numbers = [x + 0.01 * i for x in (1.0, 9.0) for i in range(7)]
    values = [
        (
            value(x, error=0.1),
            value(
                1 - x / 10,
                "precision_",
                title="Precision",
                better="higher",
                unit="share",
                low=None,
                high=None,
                interval=None,
                error=9,
            ),
        )
        for x in numbers
    ]
    found = answered(*(record(f"m{i}", 0, *mine) for i, mine in enumerate(values)))["Fidelity"]
    assert found.sentence == "m0 leads, 6 not told from it, ahead of 7 of the 13 others."
    assert "Precision: no winner (p = 1.0)." in found.evidence
    values = [(mine[0], replace(mine[1], error=0.01)) for mine in values]
    found = answered(*(record(f"m{i}", 0, *mine) for i, mine in enumerate(values)))["Fidelity"]
    assert "Precision: m0 not told from 6 others (p = 1.0)." in found.evidence


def test_a_model_without_the_number_is_named(record, value, answered):
    near, far = (value(x, error=0.1) for x in (1.0, 2.0))
    found = answered(record("vae", 0, near), record("gan", 0, far), record("pca", 0, OTHER(value)))
    assert found["Fidelity"].sentence == "vae is ahead of gan."
    assert found["Fidelity"].evidence[1] == "Without this number: pca."


def test_of_one_instrument_the_reading_that_most_models_share_speaks(record, value, answered):
    """Some have an own likelihood and one more sample count; a number said again is none."""

    def values(number, own):
        up = {"better": "higher", "error": 0.1}
        fitted = [
            value(number, f"log_likelihood_ais_fitted_{n}", title="Fitted", count=n, **up)
            for n in (64, 32, 16)[not own :]
        ]
        mine = value(-number, "log_likelihood_ais_own", title="Own", **up)
        again = value(-number, "log_likelihood_exact_x", title="Again", restates="Fitted", **up)
        return [again, *([mine] if own else []), *fitted]

    numbers = {"vae": (1.0, True), "gan": (5.0, True), "pca": (3.0, False)}
    records = [record(model, 0, *values(*given)) for model, given in numbers.items()]
    found = answered(*records)["Likelihood"]
    assert found.sentence == "gan is ahead of all others."
    assert [line.partition(":")[0] for line in found.evidence] == ["Fitted"]
    alone = answered(records[2])["Likelihood"]
    assert alone.sentence.startswith("Fitted: 3.000")
    assert alone.evidence == ()


def OTHER(value):
    return value(1.0, "unheard_of", title="Unheard of", unit="-", aspect="latent space")


def test_a_measurement_that_answers_nothing_breaks_nothing(record, value, answered):
    found = answered(
        record("vae", 0, OTHER(value), value(1.0, "fid_x", better=None)),
        record("gan", 0, OTHER(value), value(None, "fid_y")),
    )
    assert list(found) == ["Cost"]


def test_a_model_alone_stands_between_floor_and_ceiling(record, value, answered):
    found = answered(record("vae", 0, value(10.26)))["Fidelity"]
    # (10.26 - 0.4) / (99 - 0.4) by hand.
    assert found.sentence == (
        "Frechet distance: 10.26 [10.16, 10.36] squared feature units, 10 % of the way from real"
        " data to a trivial model."
    )
    beside = answered(record("vae", 0, value(10.26)), record("gan", 0, OTHER(value)))["Fidelity"]
    assert beside.sentence == "Frechet distance was measured for vae alone."
    assert beside.evidence[0].startswith("Frechet distance: vae 10.26")


def test_other_protocols_have_no_winner(record, value, answered):
    found = answered(record("vae", 0, value(1.0)), record("gan", 0, value(9.0, count=7)))
    assert found["Fidelity"].sentence == "Not compared: the runs differ in sample count."
    assert found["Fidelity"].sure == NOTHING


def test_a_model_of_another_sample_count_empties_no_answer(record, value, answered):
    """The name tells of another count, or the value alone does: the others are compared."""
    near, far = (value(x, error=0.1) for x in (1.0, 9.0))
    for other in (value(5.0, "fid_digits64_500_test", count=500), value(5.0, count=500)):
        pca = record("pca", 0, other)
        found = answered(record("vae", 0, near), record("gan", 0, far), pca)["Fidelity"]
        assert found.sentence == "vae is ahead of gan."
        told = "Measured otherwise, so not compared: pca (sample count 500 instead of 1,000)."
        assert found.evidence[1:] == (told,)
    named = record("pca", 0, value(5.0, "fid_digits64_500_test", count=500))
    found = answered(record("vae", 0, near), named)["Fidelity"]
    assert found.sentence == told
    assert [line.split(" [")[0] for line in found.evidence] == [
        "Frechet distance: vae 1.000",
        "Frechet distance: pca 5.000",
    ]
    assert found.sure == NOTHING


def test_one_seed_of_another_sample_count_empties_no_answer(record, value, answered):
    def runs(model, distances, *counts):
        values = [value(x, count=n) for x, n in zip(distances, counts, strict=True)]
        return [record(model, seed, mine) for seed, mine in enumerate(values)]

    counts = (1000, 1000, 500)
    far = (2.0, 3.4, 2.4)
    found = answered(*runs("vae", NEAR, *counts), *runs("gan", far, 1000, 1000, 1000))["Fidelity"]
    p = ttest_ind(NEAR[:2], far, equal_var=False).pvalue
    assert found.sentence == "No winner between the two models."
    assert found.evidence[0].endswith(f"(p = {p:.2g}).")


def test_a_model_whose_seeds_were_measured_in_two_ways_is_told_of(record, value, answered, groups):
    def runs(model, *numbers, counts=(1000, 1000)):
        values = [value(x, count=n) for x, n in zip(numbers, counts, strict=True)]
        return [record(model, seed, mine) for seed, mine in enumerate(values)]

    vae, wgan = runs("vae", 1.0, 1.2), runs("wgan", 5.0, 5.5)
    gan = runs("gan", 2.0, 2.2, counts=(1000, 7))
    told = "Measured otherwise, so not compared: gan (its seeds differ in sample count)."
    assert answered(*vae, *gan)["Fidelity"].sentence == told
    assert answered(*vae, *gan, *wgan)["Fidelity"].evidence[1:] == (told,)
    made = groups(*vae, *gan)
    parts = all_findings(made, measurement_table(made), cost_table(made))
    assert "alone" not in " ".join(parts.get("Winners, and what stays open", ()))


def timed(record, model, *seconds, **changes):
    made = [record(model, seed, **changes) for seed in range(len(seconds))]
    return [
        replace(one, budget=replace(one.budget, training_seconds=taken))
        for one, taken in zip(made, seconds, strict=True)
    ]


def test_cost_is_the_ratio_of_medians(record, answered):
    vae, gan = (10.0, 20.0, 900.0), (50.0, 40.0, 10.0)
    found = answered(*timed(record, "gan", *gan), *timed(record, "vae", *vae))["Cost"]
    assert (median(vae), median(gan)) == (20.0, 40.0)
    assert found.sentence == "vae trained fastest; gan took 2.0 times as long."
    assert found.evidence == (
        "Median seconds of training: vae 20.00 and gan 40.00 (2.0 times).",
        "Equal for all models: images seen (200,000).",
        "Equal for all models: parameters, generator (123,456).",
    )
    assert found.sure == "Not tested: medians of 3 runs, the same hardware"


def test_seconds_of_other_hardware_or_of_no_training_are_no_cost(record, answered):
    other = {"hardware": {"device": "cuda"}}
    found = answered(*timed(record, "vae", 10.0), *timed(record, "gan", 1.0, **other))["Cost"]
    assert found.sentence == "Seconds are not compared, because the hardware differs."
    assert found.evidence[0] == "Seconds of training: gan 1.000 and vae 10.00."
    assert found.sure == "Not tested: one run each, different hardware"
    only = answered(*timed(record, "vae", 10.0), *timed(record, "gan", 0.0))["Cost"]
    assert only.sentence == "vae trained for 10.00 seconds."
    assert only.sure == "Not tested: one run each"


def test_samples_from_elsewhere_trained_on_no_machine(record, answered, groups):
    foreign = {"hardware": {"device": "cuda"}, "budget": Budget(0, 0, 0.0, 9.0), "parameters": {}}
    runs = [*timed(record, "vae", 10.0), *timed(record, "gan", 20.0), record("other", **foreign)]
    found = answered(*runs)["Cost"]
    assert found.sentence == "vae trained fastest; gan took 2.0 times as long."
    assert found.evidence[1] == "Equal for all models that have it: images seen (200,000)."
    assert found.sure == "Not tested: one run each, the same hardware"
    assert origins(groups(*runs)) == []


def test_a_cost_says_what_was_not_equal(record, answered):
    (gan,) = timed(record, "gan", 20.0)
    small = replace(gan, budget=replace(gan.budget, images_seen=100))
    found = answered(*timed(record, "vae", 10.0), small)["Cost"]
    assert "Not equal, so compare with care: images seen (vae 200,000 and gan 100)." in (
        found.evidence
    )


def test_failures_are_counted_and_collapse_and_copies_named(record, value, answered):
    def copying(number):
        return value(number, "copying_x", title="Copying", better=None)

    def copies(number):
        return value(number, "copies_9", title="Copies", low=None, high=None, interval=None)

    collapse = Event(100, "collapse of samples", "all alike")
    found = answered(
        record("vae", 0, copies(0.4), copying(-2.9)),
        record("gan", 0, copies(0.5), copying(-3.1), events=(collapse, Event(1, "other", ""))),
        record("gan", 1, status="diverged", events=(collapse, replace(collapse, images=200))),
        record("gan", 2, status="failed"),
    )["Failures"]
    assert found.sentence == (
        "1 of 3 runs of gan diverged; 1 of 3 runs of gan failed; collapse of samples (gan in 2 of"
        " 3 runs); Copies: gan 0.5000, above 0.4000; Copying: gan -3.100 [-3.200, -3.000], below"
        " -3: copies, or samples without the noise of the data."
    )
    mean = answered(*(record("gan", s, copying(x)) for s, x in enumerate((-9.0, 2.0, 2.0, 2.0))))
    assert ", in 1 of 4 runs below -3: copies, or" in mean["Failures"].sentence
    well = answered(record("vae", 0, copies(0.4), copying(9.0), events=(Event(1, "other", ""),)))
    assert "Failures" not in well


@pytest.fixture
def sweep(tmp_path, run, record, value):
    """A page and its Markdown: three models, two extractors that disagree, events, all aspects."""
    names = {
        "fid_{}": "distance",
        "modes_{}": "diversity",
        "probe_bound_x": "likelihood",
        "inversion_mse_x": "reconstruction",
    }
    for place, model in enumerate(("vae", "gan", EVIL)):
        numbers = {"digits64": 1.0 + place, "random128": 9.0 - place}
        values = [
            value(x, name.format(view), title=name, aspect=aspect, extractor=view, error=0.01)
            for name, aspect in names.items()
            for view, x in numbers.items()
            if "{}" in name or view == "digits64"
        ]
        events = (Event(640, "saturation", f"seen in {model}"), Event(64, "collapse", "alike"))
        run(record(model, 0, *values, events=events[: 2 - place]))
    folder = tmp_path / "sweep"
    html = write_comparison(folder, find_runs(folder)).read_text()
    return html, (folder / "report.md").read_text()


def test_the_page_begins_with_the_answers_as_terms_and_definitions(sweep):
    html, markdown = sweep
    page = Page(html)
    heads = re.findall(r"<dt>(\w+)<small>", html)
    assert heads == [
        "Fidelity",
        "Diversity",
        "Likelihood",
        "Reconstruction",
        "Cost",
        "Failures",
    ]
    assert html.index("<dt>Failures") < html.index('<div class="warning">') < html.index("<table")
    assert EVIL in page.text
    assert "<script>alert(1)" not in html
    for text in (page.text, markdown):
        assert "the extractors disagree, trust neither alone" in text
        assert "Decided: one training each, another seed may differ" in text
    assert markdown.index("**Fidelity**") < markdown.index("### Measurements")


def test_every_number_of_an_answer_stands_in_the_tables(sweep):
    html, _ = sweep
    head, _, rest = Page(html).text.partition("Measurements")
    fidelity = head[head.index("Fidelity") : head.index("Cost")]
    numbers = set(re.findall(r"(?<= )\d\.\d{3}(?= )", fidelity))
    assert {"1.000", "2.000", "8.000", "9.000"} & numbers
    assert numbers <= set(re.findall(r"\d\.\d{3}", rest))


def test_all_but_three_lines_of_words_are_folded_away(sweep):
    html, markdown = sweep
    warned = html.partition('<div class="warning">')[2].partition("</div>")[0]
    assert warned.count("<li>") == 2
    assert "The extractors digits64 and random128 order 3 of 3 pairs of models" in warned
    assert "collapse (vae in 1 of 1 run)" in warned
    folded = html[html.index("<summary>All findings in words</summary>") :]
    below = markdown[markdown.index("### All findings in words") :]
    for sentence in (
        "tests over samples hold one training",
        "gan, seed 0, saturation at 640 images: seen in gan",
        "by digits64 vae is ahead of gan, by random128 gan of vae",
        "Equal for all models: images seen (200,000).",
    ):
        assert sentence in folded
        assert sentence in below
        assert html.count(sentence) - warned.count(sentence) <= 2


def test_there_are_at_most_three_warnings_and_nothing_is_lost(record, value, groups):
    def values(place):
        views = {"a": 1.0 + place, "b": 9.0 - place}
        return [value(x, f"fid_{v}", extractor=v, error=0.01) for v, x in views.items()]

    events = tuple(Event(images, "saturation", f"at {images}") for images in (1, 2))
    small = replace(record().budget, images_seen=100)
    made = groups(
        *(
            record(m, 0, *values(i), events=events, budget=small if i else record().budget)
            for i, m in enumerate(("vae", "gan", "wgan"))
        )
    )
    table, cost = measurement_table(made), cost_table(made)
    lines = warnings(made, table, cost)
    assert len(lines) == 3
    assert lines[1] == (
        "Training was warned of saturation (vae in 1 of 1 run, gan in 1 of 1 run and wgan in 1 of 1"
        " run)."
    )
    assert lines[2].startswith("Not equal, so compare with care: images seen")
    parts = all_findings(made, table, cost)
    assert len(parts["Events in training"]) == 6
    assert lines[2] in parts["Conditions"]
    assert len(parts["Agreement of the extractors"]) == 3
