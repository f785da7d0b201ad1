"""The feature store: what is there is read, what is changed or damaged is computed."""

import logging

import pytest
import torch

from gen_models.caches import default_folder
from gen_models.evaluation.extractors import Network, RandomConvolutions
from gen_models.evaluation.extractors.features import Features, extract
from gen_models.evaluation.store import FeatureStore, source_digest

SHAPE = (1, 16, 16)


def some_images(count=20):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, *SHAPE), generator=generator, dtype=torch.uint8)


def linear(scale=1.0, **options):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 4))
    torch.nn.init.constant_(network[1].weight, scale)
    torch.nn.init.zeros_(network[1].bias)
    return Network(SHAPE, "digits", network=network, name="mine", **options)


def ask(folder, images, extractor):
    """The features by a new process's store, and how many entries it had to compute."""
    store = FeatureStore(folder)
    cpu = torch.device("cpu")
    features = store.features(images, extractor, cpu, lambda: extract(extractor, images, cpu, 8))
    return features, store.computed


def test_what_is_known_is_read_bit_for_bit(tmp_path):
    images, extractor = some_images(), RandomConvolutions(SHAPE, "digits")
    first, computed = ask(tmp_path, images, extractor)
    assert computed == 1
    again, computed = ask(tmp_path, images, extractor)
    assert computed == 0
    assert torch.equal(first.features, again.features)
    assert again.logits is None


def test_any_change_is_another_entry(tmp_path):
    images, extractor = some_images(), linear()
    ask(tmp_path, images, extractor)
    pixel = images.clone()
    pixel[3, 0, 5, 5] ^= 1
    wider = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 4))
    for other_images, other in [
        (pixel, extractor),
        (images[:-1], extractor),
        (images.flip(0), extractor),
        (images, linear(scale=1.0 + 1e-6)),
        (images, linear(size=16)),
        (images, linear(mean=(0.5,))),
        (images, linear(deviation=(0.5,))),
        (images, Network(SHAPE, "digits", network=wider, name="mine")),
    ]:
        assert ask(tmp_path, other_images, other)[1] == 1
    assert ask(tmp_path, images, linear())[1] == 0


class Layers(torch.nn.Module):
    """Gives one of two things, by an attribute that is no weight."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return x.flatten(1)[:, self.layer : self.layer + 3]


def test_the_code_around_the_weights_counts(tmp_path):
    images = some_images()
    one, two = (Network(SHAPE, "x", network=Layers(layer), name="n") for layer in (0, 1))
    assert one.identity != two.identity
    assert ask(tmp_path, images, one)[1] == ask(tmp_path, images, two)[1] == 1

    class Shifted(RandomConvolutions):
        def forward(self, pixels):
            return super().forward(1 - pixels)

    assert ask(tmp_path, images, RandomConvolutions(SHAPE, "x"))[1] == 1
    assert ask(tmp_path, images, Shifted(SHAPE, "x"))[1] == 1


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "swap"])
def test_a_damaged_entry_is_named_and_computed_again(tmp_path, caplog, damage):
    images, extractor = some_images(), linear()
    first, _ = ask(tmp_path, images, extractor)
    [path] = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[-7:]
    if damage == "flip":
        content[-3] ^= 1
    if damage == "empty":
        content.clear()
    if damage == "swap":
        other = linear(scale=2.0)
        ask(tmp_path / "other", images, other)
        [content] = [p.read_bytes() for p in (tmp_path / "other").iterdir()]
    path.write_bytes(bytes(content))
    with caplog.at_level(logging.WARNING):
        again, computed = ask(tmp_path, images, extractor)
    assert computed == 1
    assert torch.equal(first.features, again.features)
    [message] = caplog.messages
    assert path.name in message
    assert "damaged" in message
    assert "\n" not in message
    assert ask(tmp_path, images, extractor)[1] == 0


def test_numbers_hang_on_all_that_they_are_made_of(tmp_path, monkeypatch):
    from gen_models.evaluation import store as module

    def ask_numbers(**about):
        store = FeatureStore(tmp_path)
        return store.numbers("floor", about, lambda: [1.0, float("nan")]), store.computed

    numbers, computed = ask_numbers(seed=0)
    assert computed == 1
    assert numbers[0] == 1.0
    assert numbers[1] != numbers[1]
    assert ask_numbers(seed=0)[1] == 0
    assert ask_numbers(seed=1)[1] == 1
    monkeypatch.setattr(module, "code_digest", lambda: "another formula")
    assert ask_numbers(seed=0)[1] == 1


def test_a_folder_that_takes_nothing_costs_a_warning_and_no_number(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    images, extractor = some_images(), linear()
    store = FeatureStore(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            features = store.features(
                images, extractor, torch.device("cpu"), lambda: Features(torch.ones(20, 4))
            )
    assert features.features.shape == (20, 4)
    assert len(caplog.messages) == 1
    assert "cannot keep" in caplog.messages[0]


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, extractor = some_images(), linear()
    assert ask(None, images, extractor)[1] == ask(None, images, extractor)[1] == 1
    assert not list(tmp_path.iterdir())


def test_the_folder_is_the_users_cache_unless_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GEN_MODELS_CACHE", str(tmp_path / "named"))
    assert default_folder() == tmp_path / "named"
    monkeypatch.delenv("GEN_MODELS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "gen_models"


def test_an_instrument_of_ones_own_hangs_on_its_file(tmp_path, monkeypatch):
    import importlib
    import sys

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    digests = []
    for formula in ("1.0", "2.0 "):
        (tmp_path / "own_instrument.py").write_text(f"class Own:\n    value = {formula}\n")
        sys.modules.pop("own_instrument", None)
        importlib.invalidate_caches()
        digests.append(source_digest(importlib.import_module("own_instrument").Own))
    assert digests[0] != digests[1]
    typed = type("Typed", (), {"__module__": "typed_into_a_session"})
    assert source_digest(typed) != source_digest(typed)
