"""Samples of a class, by models that heed it, mistake it or do not hear it."""

import pytest
import torch

from gen_models.data.images import ImageSet
from gen_models.evaluation import ClassSamples, RandomConvolutions, ShippedClassifier, evaluate
from gen_models.evaluation.statistics.frechet import Moments, frechet_distance

from .models import SHAPE, Resampler, by_name, digits, evidence

NAMES = [f"{key}_digits64_100x10_test" for key in ("class_accuracy", "class_worst", "class_fid")]


class Labelled(Resampler):
    """Draws a training image of the class that `heard` makes of the one asked for."""

    def __init__(self, heard=lambda labels: labels):
        super().__init__(digits().train.images)
        self.labels, self.heard = digits().train.labels, heard

    def sample_classes(self, labels, generator=None):
        weights = (self.labels == self.heard(labels)[:, None]).float()
        return self.images[torch.multinomial(weights, 1, generator=generator).squeeze(1)]


def measured(model, **options):
    return by_name(evaluate(evidence(model, **options), [ClassSamples()]))


def test_real_images_of_the_class_lie_at_the_floors():
    accuracy, worst, fid = (measured(Labelled())[name] for name in NAMES)
    assert accuracy.value >= worst.value > 0.98
    assert accuracy.floor.of == worst.floor.of == "360 test images"
    assert fid.value == pytest.approx(fid.floor.value, rel=0.2)
    assert fid.floor.value < 0.1 * fid.ceiling.value
    assert all(value.low <= value.value <= value.high for value in (accuracy, worst, fid))


def test_two_classes_exchanged_cost_two_tenths_and_the_worst_class_everything():
    def exchange(labels):
        return torch.where(labels < 2, 1 - labels, labels)

    accuracy, worst, _ = (measured(Labelled(exchange))[name] for name in NAMES)
    assert accuracy.value == pytest.approx(0.8, abs=0.005)
    assert worst.value < 0.01


def test_a_model_that_does_not_hear_the_class_is_right_by_chance():
    def shuffled(labels):
        return torch.randint(10, labels.shape)

    accuracy, _, fid = (measured(Labelled(shuffled))[name] for name in NAMES)
    assert accuracy.value == pytest.approx(0.1, abs=4 * (0.09 / 1000) ** 0.5)
    assert accuracy.ceiling.value == pytest.approx(0.1)
    assert fid.value == pytest.approx(fid.ceiling.value, rel=0.1)


def test_the_distance_is_the_mean_of_the_classes_own():
    data, see = digits(), ShippedClassifier(SHAPE, "digits")
    real, train = (see(part.images.float() / 255).features for part in (data.test, data.train))
    floors = [
        frechet_distance(
            Moments.of(real[data.test.labels == k]), Moments.of(train[data.train.labels == k][:100])
        )
        for k in range(10)
    ]
    fid = measured(Labelled())[NAMES[2]]
    assert fid.floor.value == pytest.approx(sum(floors) / 10, rel=1e-5)


def test_a_class_of_one_real_image_costs_the_distance_alone():
    test = digits().test
    kept = (test.labels != 9) | ((test.labels == 9).cumsum(0) == 1)
    real = ImageSet(test.images[kept], test.labels[kept])
    accuracy, worst, fid = (measured(Labelled(), real=real)[name] for name in NAMES)
    assert accuracy.value >= worst.value > 0.98
    assert accuracy.floor.of == f"{len(real)} test images"
    assert fid.reason == "class 9 has fewer than two real images"


def test_what_cannot_be_measured_says_why():
    assert measured(Resampler(digits().train.images))[NAMES[0]].reason == (
        "Resampler draws no classes on request (it does not satisfy SamplesClasses)"
    )
    bare = measured(Labelled(), real=ImageSet(digits().test.images))
    random = measured(Labelled(), extractors=(RandomConvolutions(SHAPE, "digits"),))
    for values in (bare, random):
        assert {value.reason for value in values.values()} == {
            "there are no labels, or no classifier of them"
        }
    few = measured(Labelled(), samples=15)
    assert {value.reason for value in few.values()} == {
        "15 samples are fewer than 2 for each class"
    }
