"""Samples that several processes draw, each its share, are those of one."""

import pytest
import torch

from gen_models import processes
from gen_models.errors import UsageError
from gen_models.evaluation import Features
from gen_models.evaluation.samples import latents_are_all
from gen_models.evaluation.statistics.frechet import Moments, frechet_distance

from ..conftest import found_by_two
from .models import SHAPE, Complete, Resampler, digits, evidence

SAMPLES = 333  # in batches of 64: three for one process, three for the other, the last one short


class Noisy(Complete):
    """Its latents are not all that it draws."""

    def sample(self, count, generator=None):
        clear = super().sample(count, generator)
        return (clear + 0.1 * torch.rand(clear.shape, generator=generator)).clamp(0, 1)


class Elsewhere(Complete):
    """Draws from the global state, too."""

    def sample(self, count, generator=None):
        return (super().sample(count, generator) + 0.1 * torch.rand(count, *SHAPE)).clamp(0, 1)


class Broken(Complete):
    """Its last samples are not finite: one process alone meets them."""

    drawn = 0

    def sample(self, count, generator=None):
        images = super().sample(count, generator)
        return images * float("nan") if count == SAMPLES % 64 else images


class Counting(Complete):
    """Counts what it decodes."""

    decoded = 0

    def decode(self, z):
        self.decoded += len(z)
        return super().decode(z)


MODELS = {"latents": Complete, "noise": Noisy, "elsewhere": Elsewhere}


def about(model, samples=SAMPLES):
    made = evidence(model, samples=samples)
    made.batch = 64
    return made


def drawn(model, samples=SAMPLES):
    torch.manual_seed(5)
    found = about(model, samples).drawn
    features = found.features[0]
    assert isinstance(features, Features)
    return {
        "images": found.images,
        "clamped": found.clamped,
        "features": features.features,
        "logits": features.logits,
    }


def work(folder):
    processes.join(gpu=False)
    found = {name: drawn(kind()) for name, kind in MODELS.items()}
    found["few"] = drawn(Complete(), samples=40)
    counting = Counting()
    drawn(counting)
    found["decoded"] = counting.decoded
    with pytest.raises(UsageError) as error:
        drawn(Broken())
    found["broken"] = str(error.value)
    torch.save(found, folder / f"{processes.rank()}.pt")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each process has found."""
    return found_by_two(work, tmp_path_factory.mktemp("samples"))


@pytest.mark.parametrize("name", MODELS)
def test_samples_and_features_are_bit_for_bit_those_of_one_process(both, name):
    one = drawn(MODELS[name]())
    assert len(one["images"]) == SAMPLES
    for found in both:
        assert found[name].pop("clamped") == one["clamped"]
        assert all(torch.equal(value, one[key]) for key, value in found[name].items())
        moments = (Moments.of(made["features"]) for made in (one, found[name]))
        real = Moments.of(about(Complete()).views[0].real.features)
        assert len({frechet_distance(real, each) for each in moments}) == 1


def test_a_process_may_have_no_share(both):
    one = drawn(Complete(), samples=40)
    assert all(torch.equal(found["few"]["features"], one["features"]) for found in both)


def test_each_decodes_its_share_and_no_more(both):
    """But for two images, by which it is found out that the latents are all that is drawn."""
    assert [found["decoded"] - 2 for found in both] == [3 * 64, 2 * 64 + SAMPLES % 64]


def test_what_one_process_cannot_do_all_refuse(both):
    assert all("(the first is number 320): it has diverged" in found["broken"] for found in both)


def test_whether_latents_are_all_is_found_out():
    assert latents_are_all(about(Complete()))
    others = Noisy(), Elsewhere(), Resampler(digits().train.images)
    assert not any(latents_are_all(about(model)) for model in others)
