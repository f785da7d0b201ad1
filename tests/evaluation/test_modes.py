"""Mode coverage as the harness reports it: on a mixture, and on triples of digits."""

import math

import pytest
import torch

from gen_models.data import Grid, Ring
from gen_models.data.images import ImageSet
from gen_models.evaluation import (
    Coordinates,
    Evidence,
    MixtureModes,
    ShippedClassifier,
    StackedClassifier,
    StackedModes,
    default_extractor,
    evaluate,
    second_extractor,
)
from gen_models.evaluation.statistics.classes import chance_level
from gen_models.evaluation.store import FeatureStore

from .models import Complete, by_name
from .models import evidence as digits_evidence


class Sampler(torch.nn.Module):
    """Images of a function of their count."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def sample(self, count, generator=None):
        return self.draw(count)


def about(data, draw, extractor, samples=2500, folder=None):
    return Evidence(
        model=Sampler(draw),
        train=data.train,
        validation=data.validation,
        real=data.test,
        split="test",
        extractors=(extractor,),
        samples=samples,
        seed=0,
        device=torch.device("cpu"),
        store=FeatureStore(folder),
        density=data.density,
    )


def grid(draw=None, kind=Grid):
    data = kind(count=1000, test_count=500)
    data.setup()
    draw = draw or (lambda count: data.density.sample((count,)).float())
    return about(data, draw, Coordinates(data.shape, data.name))


def test_a_perfect_sampler_of_the_grid_stands_at_every_floor():
    values = by_name(evaluate(grid(), [MixtureModes()]))
    assert list(values) == [
        "modes_covered_2500",
        "high_quality_2500",
        "mode_kl_nats_2500",
        "mode_deviation_2500",
    ]
    floors = [value.floor.value for value in values.values()]
    assert floors == pytest.approx([25, 1 - math.exp(-4.5), 24 / 5000 / 0.98889, 1], rel=1e-4)
    for value in values.values():
        assert value.low - 1e-9 <= value.floor.value <= value.high + 1e-9
        assert value.count == 2500
    assert values["mode_kl_nats_2500"].ceiling.value == pytest.approx(math.log(25))
    noise = values["high_quality_2500"].ceiling.value
    # 25 discs of three deviations, in a square that reaches a few deviations beyond 0.8 pixels.
    assert noise == pytest.approx(25 * math.pi * 0.015**2 / 0.83**2, rel=0.5)


def test_one_mode_alone_stands_at_every_ceiling():
    centre = Ring().centres[0].float().view(1, 1, 1, 2)
    values = by_name(evaluate(grid(lambda n: centre.expand(n, -1, -1, -1), Ring), [MixtureModes()]))
    for name in ("modes_covered_2500", "mode_kl_nats_2500"):
        assert values[name].value == pytest.approx(values[name].ceiling.value)
    assert values["mode_deviation_2500"].value == pytest.approx(0, abs=1e-4)


def test_what_a_statistic_refuses_costs_the_others_nothing():
    values = evaluate(grid(lambda count: torch.full((count, 1, 1, 2), 9.0)), [MixtureModes()])
    assert [value.reason is None for value in values] == [True, True, False, False]
    assert values[1].value == 0


def test_images_of_no_known_modes_have_no_rows():
    assert evaluate(digits_evidence(Complete()), [MixtureModes(), StackedModes()]) == []


class Stacked:
    """Triples of fixed pictures that the classifier of MNIST names each digit by."""

    density = None

    def __init__(self, pictures):
        self.pictures = pictures
        self.train, self.validation, self.test = (self.set(n) for n in (1000, 50, 50))

    def triples(self, count, last=10):
        channels = (10, 10, last)
        chosen = torch.stack([torch.randint(high, (count,)) for high in channels], dim=1)
        return self.pictures[chosen], chosen @ torch.tensor([1, 10, 100])

    def set(self, count):
        return ImageSet(*self.triples(count))


@pytest.fixture(scope="module")
def pictures():
    """A picture (28, 28) of each digit, as the shipped classifier sees it: found by ascent."""
    torch.manual_seed(0)
    classifier = ShippedClassifier((1, 28, 28), "mnist")
    a = torch.zeros(10, 1, 28, 28, requires_grad=True)
    optimizer = torch.optim.Adam([a], lr=0.2)
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(classifier(a.sigmoid()).logits, torch.arange(10))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made = (255 * a.detach().sigmoid()).round().to(torch.uint8)
    assert classifier(made / 255).logits.argmax(1).tolist() == list(range(10))
    return made[:, 0]


def test_a_class_is_its_three_channels(pictures):
    extractor = default_extractor((3, 28, 28), "stacked_mnist")
    assert isinstance(extractor, StackedClassifier)
    assert second_extractor((3, 28, 28), "stacked_mnist").name == "random128"
    images, labels = Stacked(pictures).triples(200)
    seen = extractor(images / 255)
    assert seen.features.shape == (200, 192)
    assert seen.logits.argmax(1).tolist() == labels.tolist()
    torch.testing.assert_close(seen.logits.exp().sum(1), torch.ones(200))
    alone = ShippedClassifier((1, 28, 28), "mnist")(images[:, 1:2] / 255)
    torch.testing.assert_close(seen.features[:, 64:128], alone.features)


def stacked(pictures, samples, last=10):
    data = Stacked(pictures)
    return about(
        data,
        lambda count: data.triples(count, last)[0] / 255,
        default_extractor((3, 28, 28), "stacked_mnist"),
        samples,
    )


def test_perfect_triples_stand_at_the_level_of_chance(pictures):
    values = by_name(evaluate(stacked(pictures, 2000), [StackedModes()]))
    modes = values["modes_stacked_mnist192_2000_test"]
    kl = values["mode_kl_nats_stacked_mnist192_2000_test"]
    assert modes.anchors[0].value == pytest.approx(1000 * (1 - 0.999**2000), abs=1e-6)
    assert modes.value == pytest.approx(modes.anchors[0].value, abs=3 * modes.error)
    assert kl.anchors[0].value == pytest.approx(chance_level(1000, 2000).divergence)
    assert kl.value == pytest.approx(kl.anchors[0].value, abs=0.02)
    assert kl.anchors[0].of == "2000 uniform labels, expected"


def test_a_sampler_that_drops_digits_of_a_channel(pictures):
    values = evaluate(stacked(pictures, 2000, last=3), [StackedModes()])
    assert 295 <= values[0].value <= 300
    assert values[1].value == pytest.approx(math.log(10 / 3) + 299 / 4000, abs=0.03)
