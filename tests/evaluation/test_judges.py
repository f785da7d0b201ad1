"""An independent critic and a classifier on laws whose distance is known."""

import copy
import importlib
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch

from gen_models.data.images import ImageSet
from gen_models.errors import UsageError
from gen_models.evaluation import (
    ClassifierTwoSample,
    Coordinates,
    Critic,
    Evidence,
    IndependentCritic,
    Probe,
    evaluate,
)
from gen_models.evaluation.rows import shuffle
from gen_models.evaluation.store import FeatureStore
from gen_models.networks import MLPTrunk

from .models import by_name

LINE = partial(MLPTrunk, hidden=())
SHAPE = (1, 1, 2)


class Gaussian(torch.nn.Module):
    """Points at a distance from the origin."""

    def __init__(self, shift, width=1.0):
        super().__init__()
        self.shift, self.width = shift, width

    def sample(self, count, generator=None):
        noise = torch.randn(count, *SHAPE, generator=generator)
        return self.width * noise + torch.tensor([self.shift, 0.0])


def evidence(shift, samples=4000, folder=None):
    torch.manual_seed(3)
    parts = (ImageSet(torch.randn(count, *SHAPE)) for count in (4000, 1000, 2000))
    train, validation, test = parts
    return Evidence(
        model=Gaussian(shift),
        train=train,
        validation=validation,
        real=test,
        split="test",
        extractors=(Coordinates(SHAPE, "points"),),
        samples=samples,
        seed=0,
        device=torch.device("cpu"),
        store=FeatureStore(folder),
    )


@pytest.mark.parametrize(("shift", "weight", "known"), [(1.5, 10.0, 1.6125), (1.5, 1.0, 2.625)])
def test_a_linear_critic_finds_the_distance_that_the_penalty_lets_it(shift, weight, known):
    """Two Gaussians mu apart: mu + mu^2 / 2 lambda, by a slope of 1 + mu / 2 lambda."""
    seen = evidence(shift)
    critic = Critic(LINE, images=60_000, rate=2e-2, weight=weight)
    value, error = critic.estimate(seen, seen.drawn.images)
    assert error == pytest.approx((1 + shift / 2 / weight) * (1 / 2000 + 1 / 2000) ** 0.5, rel=0.1)
    assert abs(value - known) < 3.5 * error


def test_equal_laws_have_no_distance():
    seen = evidence(0.0)
    value, error = Critic(partial(MLPTrunk, hidden=(32, 32)), images=20_000).estimate(
        seen, seen.drawn.images
    )
    assert abs(value) < 3.5 * error
    assert error < 0.05


def test_what_was_learned_from_is_not_judged():
    """Half of the samples is far away: judged are the others, which are real."""
    seen = evidence(0.0)
    fake = seen.drawn.images.clone()
    fake[shuffle(len(fake), 0)[:2000], ..., 0] += 1.5  # those that it learns from
    value, error = Critic(LINE, images=30_000, rate=2e-2).estimate(seen, fake)
    assert abs(value) < 3.5 * error


def test_samples_may_be_sorted():
    """As files are, by class: halves of them would be two laws."""
    seen = evidence(0.0)
    fake = seen.drawn.images[seen.drawn.images[:, 0, 0, 0].argsort()]
    value, error = Critic(LINE, images=30_000, rate=2e-2).estimate(seen, fake)
    assert abs(value) < 3.5 * error


def test_neither_samples_nor_images_that_were_learned_by_heart_are_judged():
    """A line in 900 dimensions parts 50 points from 50 others of their law, but no new ones."""
    few = [torch.randn(count, 1, 30, 30) for count in (50, 50, 100)]
    train, test = (ImageSet(images) for images in few[:2])
    seen = replace(evidence(0.0), train=train, real=test)
    critic = Critic(LINE, images=6400, batch_size=32, rate=1e-2)
    value, error = critic.estimate(seen, few[2])
    assert abs(value) < 3.5 * error
    by_heart = critic.estimate(replace(seen, real=train), few[2])
    assert by_heart.value > 5 * by_heart.error


def test_the_measurement_has_floor_and_ceiling_and_leaves_the_model_alone(tmp_path):
    seen = evidence(1.5, folder=tmp_path)
    before, state = copy.deepcopy(seen.model.state_dict()), torch.random.get_rng_state()
    judge = IndependentCritic(Critic(LINE, images=20_000, rate=2e-2))
    [value] = evaluate(seen, [judge])
    assert value.name == "critic_distance_4000_test"
    assert value.value == pytest.approx(1.6125, abs=0.15)
    assert abs(value.floor.value) < 0.15
    assert value.floor.of == "1000 validation images"
    assert torch.equal(torch.random.get_rng_state(), state)
    assert before == seen.model.state_dict()
    # Another model on the same data: floor and ceiling are read, not trained for.
    other = evidence(0.5, folder=tmp_path)
    [again] = evaluate(other, [judge])
    assert other.store.computed == 0
    assert (again.floor, again.ceiling) == (value.floor, value.ceiling)
    assert again.protocol == value.protocol
    assert [evaluate(evidence(1.5, folder=tmp_path), [judge])[0].value] == [value.value]


def test_a_recipe_that_differs_is_another_protocol_and_another_floor(tmp_path):
    judges = [IndependentCritic(Critic(LINE, images=640, weight=w)) for w in (1.0, 10.0)]
    seen = evidence(1.0, samples=200, folder=tmp_path)
    one, other = (evaluate(seen, [judge])[0] for judge in judges)
    assert one.protocol != other.protocol
    assert one.floor != other.floor


def test_a_trunk_of_ones_own_is_told_from_others_of_its_name_and_from_itself_edited(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    seen, found = evidence(1.0, samples=200, folder=tmp_path / "store"), []
    code = "from gen_models.networks import MLPTrunk\n\nclass Trunk(MLPTrunk):\n    {}\n"
    scaled = "def forward(self, x):\n        return super().forward({} * x)"
    for module, body in [("one", "pass"), ("one", scaled.format(9)), ("two", scaled.format(3))]:
        (tmp_path / f"own_{module}.py").write_text(code.format(body))
        sys.modules.pop(f"own_{module}", None)
        importlib.invalidate_caches()
        trunk = partial(importlib.import_module(f"own_{module}").Trunk, hidden=())
        found += evaluate(seen, [IndependentCritic(Critic(trunk, images=640))])
        found.append(Probe(trunk).protocol)
    before, edited, other = found[::2]
    assert len({value.floor.value for value in (before, edited, other)}) == 3
    assert before.protocol == edited.protocol != other.protocol
    assert "critic own_one.Trunk(hidden=())" in before.protocol
    assert found[1] == found[3] != found[5]
    assert "probe encoder own_two.Trunk(hidden=())" in found[5]


def test_shipped_trunks_stand_in_protocols_as_in_records_of_before():
    assert Critic(LINE).protocol.startswith("WGAN-GP critic MLPTrunk(hidden=()) of pixels, grad")
    assert Probe(LINE).protocol.startswith("probe encoder MLPTrunk(hidden=()), diagonal Gaussian")


def test_a_critic_of_other_names_is_refused_and_too_few_samples_too():
    with pytest.raises(UsageError, match=r"critic\.rate must be above 0"):
        Critic(LINE, rate=0.0)
    seen = evidence(1.0)
    with pytest.raises(UsageError, match="2 samples are too few"):
        Critic(LINE, images=64).estimate(seen, seen.drawn.images[:2])
    with pytest.raises(UsageError, match="diverged"):
        Critic(partial(MLPTrunk, hidden=(8,)), images=6400, rate=1e30).estimate(
            seen, seen.drawn.images
        )


def test_the_classifier_stands_beside_its_floor():
    values = by_name(evaluate(evidence(1.5), [ClassifierTwoSample(images=2000)]))
    told = values["told_linear_coordinates2_4000_test"]
    assert told.value == pytest.approx(0.7734, abs=0.03)
    assert told.floor.value == pytest.approx(0.5, abs=0.04)
    assert told.low < 0.7734 < told.high
    assert values["told_neighbours_coordinates2_4000_test"].floor.value == pytest.approx(
        0.5, abs=0.04
    )
    few = evaluate(replace(evidence(1.5), samples=3), [ClassifierTwoSample()])
    assert all("too few" in value.reason for value in few)
    with pytest.raises(UsageError, match=r"two_sample\.images"):
        ClassifierTwoSample(images=3)
