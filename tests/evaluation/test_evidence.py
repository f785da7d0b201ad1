"""One pass over samples, real features once, and anchors that are what they say."""

import multiprocessing

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.evaluation import (
    Comparison,
    Copies,
    Features,
    FrechetDistance,
    KernelDistance,
    Memorisation,
    Neighbourhoods,
    RandomConvolutions,
    ShippedClassifier,
    evaluate,
)
from gen_models.evaluation.given import GivenSamples
from gen_models.evaluation.pictures import gallery
from gen_models.evaluation.statistics.frechet import Moments, frechet_distance

from .models import SHAPE, Complete, Resampler, by_name, digits, evidence

INSTRUMENTS = [FrechetDistance(), KernelDistance(), Neighbourhoods(), Memorisation(), Copies()]


class Counting(RandomConvolutions):
    """Counts the images that it is shown."""

    seen = 0

    def forward(self, pixels):
        self.seen += len(pixels)
        return super().forward(pixels)


def test_samples_are_drawn_once_and_shown_to_every_extractor_once():
    class Drawing(Complete):
        drawn = 0

        def sample(self, count, generator=None):
            self.drawn += count
            return super().sample(count, generator)

    model, extractor = Drawing(), Counting(SHAPE, "digits")
    about = evidence(model, extractors=(ShippedClassifier(SHAPE, "digits"), extractor))
    about.batch = 300
    evaluate(about, INSTRUMENTS[1:3])
    assert model.drawn == 1000
    # 1000 samples, 1000 of noise, 1000 mean images, 360 test and 1293 training images, and two of
    # fixed noise, by which the store knows the extractor.
    assert extractor.seen == 3 * 1000 + 360 + 1293 + 2


def test_the_batch_size_changes_no_sample():
    one, other = evidence(Complete()), evidence(Complete())
    other.batch = 64
    assert torch.equal(one.drawn.images, other.drawn.images)


def test_a_warm_store_computes_nothing_real_and_changes_no_bit(tmp_path):
    def measured(folder):
        extractor = Counting(SHAPE, "digits")
        about = evidence(Complete(), extractors=(extractor,), samples=500, folder=folder)
        return evaluate(about, INSTRUMENTS), about.store.computed, extractor.seen

    bare, *_ = measured(None)
    cold, computed, _ = measured(tmp_path)
    assert computed > 0
    warm, computed, seen = measured(tmp_path)
    assert computed == 0
    assert seen == 500 + 2
    assert bare == cold == warm


def _measure(folder, results):
    torch.set_num_threads(1)
    about = evidence(Complete(), samples=200, folder=folder)
    results.put([value.value for value in evaluate(about, INSTRUMENTS[:2])])


def test_two_processes_may_fill_one_store_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    both = [context.Process(target=_measure, args=(tmp_path, results)) for _ in range(2)]
    for process in both:
        process.start()
    one, two = (results.get(timeout=120) for _ in both)
    for process in both:
        process.join()
    assert one == two
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".safetensors"]
    about = evidence(Complete(), samples=200, folder=tmp_path)
    evaluate(about, INSTRUMENTS[:2])
    assert about.store.computed == 0


def test_anchors_are_the_same_measurement_on_what_they_name():
    about = evidence(Complete())
    view = about.views[0]
    [value, *_] = evaluate(about, [FrechetDistance()])
    real = Moments.of(view.features(about.real.images).features)

    def distance(images):
        return frechet_distance(real, Moments.of(view.features(images).features))

    train = digits().train.images
    assert value.floor.value == pytest.approx(distance(train[:1000]), rel=1e-9)
    assert value.floor.of == "1000 training images"
    mean = (train.double() / 255).mean(0).mul(255).round().to(torch.uint8)
    [anchor] = value.anchors
    assert anchor.of == "the mean training image"
    assert anchor.value == pytest.approx(distance(mean.expand(1000, *SHAPE)), rel=1e-3)
    assert value.ceiling.of == "uniform noise"


def test_a_level_of_the_ladder_reads_as_itself():
    from gen_models.evaluation.statistics.ladder import corrupted

    train = digits().train.images[:1000]
    for ladder, level in (("noise", 0.1), ("blur", 1.0)):
        model = GivenSamples(corrupted(train, ladder, level, seed=0))
        values = by_name(evaluate(evidence(model), [FrechetDistance(ladder)]))
        name = f"fid_as_{ladder}_digits64_1000_test"
        assert values[name].value == pytest.approx(level, rel=1e-3)


def test_where_there_is_no_distance_its_level_has_the_same_reason():
    values = evaluate(
        evidence(GivenSamples(torch.full((1000, *SHAPE), torch.nan))), INSTRUMENTS[:1]
    )
    assert values[-1].name.startswith("fid_as_noise")
    [reason] = {value.reason for value in values}
    assert "not finite" in reason


def test_an_interval_that_ends_above_the_ladder_says_so():
    from gen_models.evaluation.statistics.ladder import LEVELS, corrupted

    strongest = LEVELS["blur"][-1]
    train = digits().train.images[:100]
    for level, cut in ((strongest, True), (1.0, False)):
        model = GivenSamples(corrupted(train, "blur", level))
        value = evaluate(evidence(model, samples=100), [FrechetDistance("blur")])[-1]
        assert value.value == pytest.approx(level, rel=1e-3)
        assert (value.high == strongest) == cut
        assert ("cut off at the strongest blur tried (4)" in value.interval) == cut


def test_what_is_out_of_range_is_counted():
    class Loud(Complete):
        def sample(self, count, generator=None):
            images = super().sample(count, generator)
            images[:, :, 0, 0] = 1.5
            return images

    values = by_name(evaluate(evidence(Loud()), [Copies()]))
    assert values["clamped_1000"].value == pytest.approx(1 / 256)


def test_repeats_and_copies_are_counted():
    train = digits().train.images
    model = GivenSamples(torch.cat([train[:30], digits().test.images[:20], train[:50]]))
    values = by_name(evaluate(evidence(model, samples=100), [Copies()]))
    assert values["copies_100"].value == 0.8
    assert values["duplicates_100"].value == 0.3
    assert values["clamped_100"].value == 0


def test_features_of_different_extractors_are_not_compared():
    one = Features(torch.randn(50, 4), extractor="digits64@1")
    for other, message in (
        (Features(torch.randn(50, 4), extractor="digits64@2"), "digits64@1 and of digits64@2"),
        (Features(torch.randn(50, 5), extractor="digits64@1"), "4 and 5 dimensions"),
        (Features(torch.full((50, 4), torch.nan), extractor="digits64@1"), "fake image 0"),
    ):
        with pytest.raises(UsageError, match=message):
            Comparison(one, other)


def test_too_few_samples_cost_the_row_and_not_the_others():
    values = evaluate(evidence(Resampler(digits().train.images), samples=100), INSTRUMENTS)
    named = by_name(values)
    assert "too few" in named["fid_unbiased_digits64_100_test"].reason
    assert named["fid_digits64_100_test"].value > 0
    assert named["kid_digits64_100_test"].value is not None


def test_given_samples_run_out_with_a_word():
    values = evaluate(evidence(GivenSamples(digits().test.images), samples=400), [KernelDistance()])
    assert "360 given samples, 400 were asked for" in values[0].reason


def test_samples_of_another_shape_are_a_reason():
    for shape, told in (((100, 1, 8, 8), "(100, 1, 8, 8)"), ((100, 3, 16, 16), "(100, 3, 16, 16)")):
        values = evaluate(
            evidence(GivenSamples(torch.rand(shape)), samples=100), [KernelDistance()]
        )
        assert told in values[0].reason
    few = GivenSamples(digits().test.images[:50])
    few.sample = lambda count, generator=None: few.images[:50]
    assert "gave (50," in evaluate(evidence(few, samples=100), [KernelDistance()])[0].reason


def test_models_may_sample_bytes():
    class Bytes(Complete):
        def sample(self, count, generator=None):
            return (super().sample(count, generator) * 255).round().to(torch.uint8)

    one, other = (evaluate(evidence(m), [KernelDistance()]) for m in (Bytes(), Complete()))
    assert one == other
    assert gallery(evidence(Bytes()), None)[0].pixels.max() <= 1


def test_one_extractor_that_fails_costs_the_other_nothing():
    class Blind(RandomConvolutions):
        """Not finite on black."""

        def forward(self, pixels):
            features, *_ = super().forward(pixels)
            return Features(features / (pixels.amax((1, 2, 3)) > 0)[:, None])

    black = GivenSamples(torch.zeros(200, *SHAPE))
    pair = Blind(SHAPE, "digits"), ShippedClassifier(SHAPE, "digits")
    values = evaluate(evidence(black, extractors=pair, samples=200), [FrechetDistance()])
    assert "not finite" in values[0].reason
    assert by_name(values)["fid_digits64_200_test"].value > 0


def test_the_order_of_the_samples_moves_no_error():
    train = digits().train
    rows = train.labels[:500].argsort()
    instruments = [KernelDistance(), Neighbourhoods()]
    one, other = (
        evaluate(evidence(GivenSamples(train.images[:500][order]), samples=500), instruments)
        for order in (torch.arange(500), rows)
    )
    for left, right in zip(one, other, strict=True):
        assert left.value == pytest.approx(right.value, rel=1e-6, abs=1e-9)
        assert left.error == pytest.approx(right.error, rel=0.5)
