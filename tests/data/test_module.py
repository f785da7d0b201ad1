import pytest
import torch

from gen_models.checkpoints import check_data
from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError


def ready(data):
    data.prepare_data()
    data.setup()
    return data


def test_splits_are_disjoint_complete_and_carry_the_images_they_name(noise):
    data = ready(noise(count=100))
    indices = data.split_indices
    assert {name: len(part) for name, part in indices.items()} == {
        "test": 20,
        "validation": 8,
        "train": 72,
    }
    assert torch.equal(torch.cat(list(indices.values())).sort().values, torch.arange(100))
    for name, part in indices.items():
        split = getattr(data, name)
        assert torch.equal(split.images, data.source.images[part])
        assert torch.equal(split.labels, data.source.labels[part])
    assert (data.shape, data.num_classes, data.name) == ((1, 4, 4), 3, "noise")


def test_an_official_test_set_is_used_whole_and_in_order(noise):
    data = ready(noise(count=50, official=7, batch_size=8, test=0.0))
    assert torch.equal(data.test.images, data.official.images)
    assert torch.equal(data.split_indices["test"], torch.arange(7))
    assert (len(data.train), len(data.validation)) == (45, 5)


def test_the_split_depends_on_split_seed_alone(noise):
    first, other_order, other_split = (
        ready(noise(batch_size=4, **options))
        for options in ({}, {"seed": 9, "scaling": "standard"}, {"split_seed": 1})
    )
    assert first.fingerprint == other_order.fingerprint
    for name, part in first.split_indices.items():
        assert torch.equal(part, other_order.split_indices[name])
        assert not torch.equal(part, other_split.split_indices[name])


def test_a_limit_shortens_training_and_nothing_else(noise):
    whole, short = ready(noise(batch_size=4)), ready(noise(batch_size=4, limit=9))
    assert torch.equal(short.train.images, whole.train.images[:9])
    assert torch.equal(short.split_indices["train"], whole.split_indices["train"][:9])
    assert torch.equal(short.validation.images, whole.validation.images)
    assert torch.equal(short.test.images, whole.test.images)


def test_setup_loads_once(noise):
    data = noise(batch_size=4)
    calls = []
    load = data.load
    data.load = lambda: calls.append(1) or load()
    for stage in (None, "fit", "test"):
        data.setup(stage)
    assert len(calls) == 1


def test_the_standard_scaler_is_fitted_on_training_images_alone(noise):
    def scaler_of(change):
        data = noise(count=60, channels=3, batch_size=4, scaling="standard")
        held_out = ready(noise(count=60, channels=3, batch_size=4)).split_indices[change]
        data.source.images[held_out] = 255
        return ready(data)

    plain = ready(noise(count=60, channels=3, batch_size=4, scaling="standard"))
    for unseen in ("validation", "test"):
        assert torch.equal(scaler_of(unseen).scaler.mean, plain.scaler.mean)
        assert torch.equal(scaler_of(unseen).scaler.deviation, plain.scaler.deviation)
    assert not torch.equal(scaler_of("train").scaler.mean, plain.scaler.mean)
    x = plain.scaler(to_pixels(plain.train.images)).double()
    assert x.mean((0, 2, 3)).abs().max() < 1e-6
    assert (x.var((0, 2, 3), unbiased=False) - 1).abs().max() < 1e-5


@pytest.mark.parametrize(("scaling", "low"), [("unit", 0), ("symmetric", -1)])
def test_named_scalings(noise, scaling, low):
    data = noise(batch_size=4, scaling=scaling)
    data.source.images[:, :, 1] = 0
    data.source.images[:, :, 2] = 255
    images = next(iter(ready(data).train_dataloader())).images
    assert (images.min(), images.max()) == (low, 1)


def test_loaders_drop_the_rest_in_training_only(noise):
    data = ready(noise(count=40, batch_size=6))
    assert [len(batch.images) for batch in data.train_dataloader()] == [6] * 4
    assert [len(batch.images) for batch in data.val_dataloader()] == [3]
    assert [len(batch.images) for batch in data.test_dataloader()] == [6, 2]


def test_the_fingerprint_sees_one_pixel_in_any_split(noise):
    prints = set()
    for index in [
        None,
        *(int(part[0]) for part in ready(noise(batch_size=4)).split_indices.values()),
    ]:
        data = noise(batch_size=4)
        if index is not None:
            data.source.images[index, 0, 3, 3] += 1
        prints.add(ready(data).fingerprint)
    assert len(prints) == 4


def test_a_checkpoint_goes_back_only_to_its_own_splits(noise):
    state = ready(noise(batch_size=4)).state_dict()
    assert all(isinstance(value, str | int) for value in state.values())
    noise(batch_size=4, seed=5).load_state_dict(state)
    with pytest.raises(UsageError, match=r"data.split_seed=0, this run has 1"):
        noise(batch_size=4, split_seed=1).load_state_dict(state)
    for options in ({"count": 41}, {"validation": 0.3}, {"limit": 8}):
        with pytest.raises(UsageError, match="made on other data or other splits"):
            noise(batch_size=4, **options).load_state_dict(state)


def test_a_checkpoint_is_held_against_the_data_whatever_their_class_is_called(noise):
    class Renamed(noise):
        """Keeps more of itself than others do."""

        def state_dict(self):
            return {**super().state_dict(), "more": 1}

        def load_state_dict(self, state_dict):
            assert state_dict["more"] == 1
            super().load_state_dict(state_dict)

    for made, read in ((noise, Renamed), (Renamed, noise), (Renamed, Renamed)):
        own = {made.__qualname__: ready(made(batch_size=4)).state_dict()}
        checkpoint = {"state_dict": {}, "epoch": 3, "loops": {"fit_loop": {}}, **own}
        check_data(read(batch_size=4), checkpoint)
        with pytest.raises(UsageError, match="made on other data or other splits than this noise"):
            check_data(read(batch_size=4, count=41), checkpoint)
        with pytest.raises(UsageError, match=r"data.split_seed=0, this run has 1"):
            check_data(read(batch_size=4, split_seed=1), checkpoint)
    check_data(noise(batch_size=4), {"state_dict": {}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scaling": "tanh"}, "'tanh' must be one of unit, symmetric, standard"),
        ({"validation": 1.0}, "data.validation=1.0 must be a share"),
        ({"test": -0.1}, "data.test=-0.1 must be a share"),
        ({"validation": float("nan")}, "data.validation=nan"),
        ({"batch_size": 0}, "data.batch_size=0"),
        ({"limit": 0}, "data.limit=0"),
        ({"seed": -1}, "data.seed=-1"),
        ({"split_seed": 2**64}, "data.split_seed="),
        ({"batch_size": 64}, "data.batch_size=64 is larger than the 29 training images"),
        ({"limit": 3, "batch_size": 4}, "larger than the 3 training images"),
        ({"validation": 0.0, "batch_size": 4}, "the validation split of noise is empty"),
        ({"test": 0.0, "batch_size": 4}, "the test split of noise is empty"),
        ({"official": 0, "batch_size": 4}, "the test split of noise is empty"),
        ({"official": 5, "channels": 1, "batch_size": 4, "wide": True}, "have shape"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(noise, options, message):
    wide = options.pop("wide", False)
    with pytest.raises(UsageError) as error:  # noqa: PT012 - some are refused only by setup
        data = noise(**options)
        if wide:
            data.official = noise(official=5, channels=3).official
        data.setup()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_print_says_what_there_is(noise):
    data = noise(batch_size=4)
    assert str(data) == "noise (not loaded)"
    assert str(ready(data)) == "noise 1x4x4: 29 train, 3 validation, 8 test"
