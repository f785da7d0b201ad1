"""Instruments of classes against closed forms, exact expectations, redraws and torch-fidelity."""

from itertools import product

import pytest
import torch
from torch.nn.functional import one_hot
from torch_fidelity.metric_isc import isc_features_to_metric

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.classes import (
    chance_level,
    class_coverage,
    class_divergence,
    class_shares,
    classifier_score,
    confident_share,
)


def answers(shares, count, seed=0):
    """Logits of samples whose classes are drawn from the shares."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(torch.tensor(shares), count, True, generator=generator)
    return one_hot(drawn, len(shares)).float()


def noise_logits(count=500, classes=10, seed=0):
    return 2 * torch.randn(count, classes, generator=torch.Generator().manual_seed(seed))


def redrawn(instrument, draws=300):
    """Values and errors (draws,) of an instrument of a seed."""
    return torch.tensor([instrument(seed) for seed in range(draws)], dtype=torch.float64).unbind(1)


def within_three_errors(values, expected):
    return abs(values.mean() - expected) < 3 * values.std() / len(values) ** 0.5


def test_sure_and_balanced_answers_score_the_number_of_classes():
    score = classifier_score(1000 * torch.eye(10).repeat(7, 1))
    assert score.value == pytest.approx(10, rel=1e-12)
    assert score.error == pytest.approx(0, abs=1e-12)


def test_equal_answers_score_one():
    assert classifier_score(torch.arange(5.0).repeat(20, 1)).value == pytest.approx(1, rel=1e-12)


def test_the_score_does_not_depend_on_the_order():
    logits = noise_logits()
    by_class = logits[logits.argmax(1).argsort()]
    assert classifier_score(by_class).value == pytest.approx(
        classifier_score(logits).value, rel=1e-12
    )


def test_the_score_equals_that_of_torch_fidelity():
    logits = noise_logits()
    expected = isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    assert classifier_score(logits).value == pytest.approx(expected, rel=1e-12)


def test_the_error_of_the_score_is_its_deviation_over_redraws():
    values, errors = redrawn(lambda seed: classifier_score(noise_logits(200, 4, seed)))
    assert 0.85 < errors.mean() / values.std() < 1.18


def test_a_perfect_sampler_has_no_divergence_on_average():
    shares = [0.1] * 10
    values, _ = redrawn(
        lambda seed: class_divergence(real=torch.arange(10), fake=answers(shares, 200, seed))
    )
    assert within_three_errors(values, chance_level(10, 200).corrected)
    assert abs(values.mean()) < 0.1 * (10 - 1) / (2 * 200)
    assert (values < 0).any()


def test_half_of_the_classes_missing_costs_log_two():
    half = [0.2] * 5 + [0.0] * 5
    values, _ = redrawn(
        lambda seed: class_divergence(real=torch.full((10,), 0.1), fake=answers(half, 200, seed))
    )
    # What is left of the bias is the next order, (sum of 1/p - 1) / 12 N^2.
    assert within_three_errors(values, torch.tensor(2.0).log() + (25 - 1) / (12 * 200**2))


def test_the_error_of_the_divergence_is_its_deviation_over_redraws():
    values, errors = redrawn(
        lambda seed: class_divergence(
            real=torch.tensor([0.25] * 4), fake=answers([0.55, 0.25, 0.15, 0.05], 400, seed)
        )
    )
    assert 0.85 < errors.mean() / values.std() < 1.18


def test_labels_and_their_shares_are_the_same_reference():
    labels = torch.tensor([0, 0, 1, 2, 2, 2, 3])
    fake = noise_logits(classes=4)
    shares = class_shares(labels, 4)
    assert shares.tolist() == pytest.approx([2 / 7, 1 / 7, 3 / 7, 1 / 7])
    assert class_divergence(real=labels, fake=fake) == class_divergence(real=shares, fake=fake)


def test_a_class_without_real_images_is_refused_only_if_it_has_samples():
    real = torch.tensor([0.5, 0.5, 0.0])
    assert class_divergence(real=real, fake=answers([0.5, 0.5, 0.0], 100)).value < 0.1
    with pytest.raises(UsageError, match="class 2 has samples but no real image"):
        class_divergence(real=real, fake=answers([0.4, 0.4, 0.2], 100))


def test_a_class_is_covered_by_its_share_of_samples():
    # 1000 samples for 4 classes: 1 % of the 250 that each should have is 2.5, so 3 are needed.
    counts = torch.tensor([995, 3, 2, 0])
    fake = torch.eye(4).repeat_interleave(counts, dim=0)
    real = torch.full((4,), 0.25)
    assert class_coverage(real=real, fake=fake).value == 2
    assert class_coverage(real=real, fake=fake, share=0.004).value == 3
    # However few a class should have, it needs one.
    assert class_coverage(real=real, fake=fake, share=1e-12).value == 3


def test_a_class_without_real_images_cannot_be_covered():
    real = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    assert class_coverage(real=real, fake=torch.eye(3).repeat(50, 1)).value == 2


def test_exactly_the_share_is_enough():
    """0.07 * 100 is a hair above 7 in floating point."""
    fake = torch.eye(2).repeat_interleave(torch.tensor([7, 993]), dim=0)
    real = torch.tensor([0.1, 0.9], dtype=torch.float64)
    assert class_coverage(real=real, fake=fake, share=0.07).value == 2


def test_the_error_of_the_coverage_of_three_samples():
    """Shares 2/3 and 1/3: not met again with chance 1/27 and 8/27."""
    _, error = class_coverage(real=torch.tensor([0.5, 0.5]), fake=torch.eye(2)[[0, 0, 1]])
    assert error == pytest.approx((1 / 27 * 26 / 27 + 8 / 27 * 19 / 27) ** 0.5)


@pytest.mark.parametrize(("classes", "count"), [(10, 1000), (100, 150)])
def test_the_error_of_the_coverage_is_its_deviation_over_redraws(classes, count):
    shares = [1 / classes] * classes
    real = torch.tensor(shares)
    values, errors = redrawn(
        lambda seed: class_coverage(real=real, fake=answers(shares, count, seed))
    )
    assert within_three_errors(values, chance_level(classes, count).coverage) or values.std() == 0
    if count == 1000:
        assert values.std() == errors.max() == 0
    else:
        assert 0.85 < errors.mean() / values.std() < 1.25


def test_chance_is_the_mean_over_all_samples_there_can_be():
    classes, count = 3, 4
    coverage, divergence, corrected = 0.0, 0.0, 0.0
    for drawn in product(range(classes), repeat=count):
        shares = class_shares(torch.tensor(drawn), classes)
        met = int((shares > 0).sum())
        kl = torch.special.xlogy(shares, shares * classes).sum().item()
        coverage += met / classes**count
        divergence += kl / classes**count
        corrected += (kl - (met - 1) / (2 * count)) / classes**count
    expected = coverage, divergence, corrected
    assert chance_level(classes, count) == pytest.approx(expected, rel=1e-12)


def test_chance_of_the_literature():
    """1000 classes: 26,000 samples as in VEEGAN; at 1000 samples 368 classes are missing."""
    assert chance_level(1000, 26_000).divergence == pytest.approx(999 / 52_000, rel=0.02)
    assert chance_level(1000, 1000).coverage == pytest.approx(1000 - 368, abs=1)
    assert chance_level(1000, 1000).divergence == pytest.approx(0.573, abs=0.001)


def test_confident_share_counts_likely_answers():
    nine_to_one = torch.tensor([[0.0, torch.tensor(9.0).log()]])
    even = torch.zeros(1, 2)
    logits = torch.cat([nine_to_one.repeat(30, 1), even.repeat(70, 1)])
    value, error = confident_share(logits, 0.8)
    assert value == pytest.approx(0.3)
    assert error == pytest.approx((30.5 * 70.5) ** 0.5 / 101 / 10)
    assert confident_share(logits, 0.95).value == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: classifier_score(torch.zeros(1, 3)), "2 samples or more"),
        (lambda: confident_share(torch.tensor([[0.0], [float("nan")]])), "image 1 .* not finite"),
        (lambda: class_divergence(real=torch.tensor([0, 3]), fake=torch.eye(3)), "0 to 2"),
        (lambda: class_divergence(real=torch.tensor([0.5, 0.2]), fake=torch.eye(2)), "add up"),
        (lambda: class_coverage(real=torch.tensor([0]), fake=torch.eye(2), share=0), "share=0"),
    ],
)
def test_mistakes_are_told_in_a_line(call, words):
    with pytest.raises(UsageError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
