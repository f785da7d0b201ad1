"""Binary images: right probabilities, one draw for everybody, fresh ones that come again."""

import numpy as np
import pytest
import torch

from gen_models.data.binarisation import PART, binary, fixed_draw
from gen_models.data.images import ImageSet
from gen_models.data.loader import DeviceLoader, EpochOrder
from gen_models.data.ranges import Scaler, to_pixels
from gen_models.errors import UsageError

EVERY_BYTE = torch.arange(256).to(torch.uint8)


def ready(data):
    data.setup()
    return data


def test_white_has_the_probability_of_the_grey_value():
    draws = 4000
    white = to_pixels(binary(EVERY_BYTE.expand(draws, 1, 1, 256), 0, 0, 0)).double()
    assert set(white.unique().tolist()) == {0.0, 1.0}
    share, p = white.mean(0).flatten(), torch.arange(256) / 255
    assert share[0] == 0
    assert share[255] == 1
    errors = (p * (1 - p) / draws).sqrt()
    assert ((share - p)[1:255] / errors[1:255]).abs().max() < 4.5
    # All 256 together: chi squared with 254 degrees of freedom.
    assert ((share - p)[1:255] / errors[1:255]).square().sum() < 254 + 4 * (2 * 254) ** 0.5
    # Neighbours are independent.
    grey = binary(torch.full((1, 1, 1, 100_000), 128).to(torch.uint8), 0, 0, 0).flatten()[None]
    pairs = torch.cat([grey[:, :-1], grey[:, 1:]]).double()
    assert torch.corrcoef(pairs)[0, 1].abs() < 4 * 100_000**-0.5


def test_the_draw_is_that_of_the_published_stream():
    """By hand: 32-bit words of Philox modulo 255 against the bytes."""
    key = np.array([5, 7], dtype=np.uint64)
    raw = np.random.Philox(key=key, counter=np.array([0, 3, 0, 0], dtype=np.uint64)).random_raw(3)
    halves = [half for word in raw.tolist() for half in (word % 2**32, word // 2**32)]
    images = torch.tensor([10, 90, 130, 200, 250], dtype=torch.uint8).view(5, 1, 1, 1)
    expected = [
        255 if v > half % 255 else 0
        for v, half in zip(images.flatten().tolist(), halves[:5], strict=True)
    ]
    assert binary(images, 5, 7, 3).flatten().tolist() == expected


def test_a_draw_is_a_function_of_seed_stream_and_position():
    grey = torch.full((3, 1, 5, 5), 128).to(torch.uint8)
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    draws = {tuple(binary(grey, *key).flatten().tolist()) for key in keys}
    assert len(draws) == 4
    assert torch.equal(binary(grey, 1, 2, 3), binary(grey, 1, 2, 3))


def test_images_beyond_the_first_part_have_draws_of_their_own():
    grey = ImageSet(torch.full((3 * PART, 1, 2, 2), 128).to(torch.uint8), torch.arange(3 * PART))
    drawn = fixed_draw(grey, stream=5)
    first, second, third = drawn.images.split(PART)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    assert torch.equal(fixed_draw(grey.subset(torch.arange(1500)), 5).images, drawn.images[:1500])
    assert torch.equal(drawn.labels, grey.labels)


@pytest.mark.parametrize("official", [None, 7])
@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_every_split_is_binary_and_keeps_its_labels(noise, kind, official):
    grey = ready(noise(count=50, batch_size=8, official=official))
    data = ready(noise(count=50, batch_size=8, official=official, binarize=kind))
    for name, part in data.split_indices.items():
        split, was = getattr(data, name), getattr(grey, name)
        assert torch.equal(part, grey.split_indices[name])
        assert set(split.images.unique().tolist()) == {0, 255}
        assert torch.equal(split.labels, was.labels)
        assert not split.images[was.images == 0].any()
    assert (data.num_classes, data.name) == (3, f"noise_binarized_{kind}")


def test_the_fixed_draw_of_an_image_does_not_hang_on_the_split(noise):
    def by_index(**options):
        data = ready(noise(batch_size=4, binarize="static", **options))
        return {
            index: tuple(image.flatten().tolist())
            for name, part in data.split_indices.items()
            for index, image in zip(part.tolist(), getattr(data, name).images, strict=True)
        }

    whole = by_index()
    for options in ({"split_seed": 3}, {"limit": 9}, {"seed": 8}):
        other = by_index(**options)
        assert other == {index: whole[index] for index in other}


def test_training_and_official_test_images_have_draws_of_their_own(noise):
    data = noise(count=40, official=40, batch_size=4, binarize="static", validation=0.1)
    data.source.images[:], data.official.images[:] = 128, 128
    ready(data)
    drawn = torch.cat([data.train.images, data.validation.images])
    indices = torch.cat([data.split_indices["train"], data.split_indices["validation"]])
    assert not torch.equal(drawn[indices.argsort()], data.test.images)


def test_static_and_dynamic_differ_in_what_training_shows_alone(noise):
    static, dynamic = (
        ready(noise(batch_size=4, binarize=kind, scaling="unit")) for kind in ("static", "dynamic")
    )
    for split in ("train", "validation", "test"):
        assert torch.equal(getattr(static, split).images, getattr(dynamic, split).images)
    for loader in ("val_dataloader", "test_dataloader"):
        one, other = (next(iter(getattr(d, loader)())).images for d in (static, dynamic))
        assert torch.equal(one, other)
    grey = ready(noise(batch_size=4))
    assert torch.equal(dynamic.shown.images, grey.train.images)
    assert torch.equal(static.shown.images, static.train.images)
    assert len({data.fingerprint for data in (grey, static, dynamic)}) == 3


def test_a_static_epoch_shows_the_fixed_draw(noise):
    data = ready(noise(batch_size=4, binarize="static", scaling="unit"))
    loader = data.train_dataloader()
    order = loader.sampler.indices()[: 4 * len(loader)]
    shown = torch.cat([batch.images for batch in loader])
    assert torch.equal(shown, to_pixels(data.train.images[order]))


def epochs(data, count):
    loader = data.train_dataloader()
    for epoch in range(count):
        loader.sampler.set_epoch(epoch)
        yield loader.sampler.indices()[: len(loader) * data.batch_size], list(loader)


def test_dynamic_training_draws_afresh_from_the_grey_images(noise):
    data = ready(noise(batch_size=4, binarize="dynamic", scaling="unit"))
    total = torch.zeros(len(data.train), *data.shape, dtype=torch.float64)
    shown = torch.zeros(len(data.train))
    for order, batches in epochs(data, 600):
        pixels = torch.cat([batch.images for batch in batches])
        assert ((pixels == 0) | (pixels == 1)).all()
        assert torch.equal(torch.cat([b.labels for b in batches]), data.train.labels[order])
        total[order] += pixels
        shown[order] += 1
    p = to_pixels(data.shown.images).double()
    spread = (p * (1 - p) / shown.view(-1, 1, 1, 1)).sqrt().clamp_min(1e-9)
    assert ((total / shown.view(-1, 1, 1, 1) - p) / spread).abs().max() < 4.5


def test_fresh_draws_come_again_with_seed_and_epoch(noise):
    def pixels(seed):
        data = ready(noise(batch_size=4, binarize="dynamic", seed=seed))
        return [torch.cat([b.images for b in batches]) for _, batches in epochs(data, 2)]

    one, same, other = pixels(0), pixels(0), pixels(1)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[0], other[0])


def test_draws_differ_between_seeds_epochs_and_places():
    grey = torch.full((8, 1, 6, 6), 128).to(torch.uint8)
    seen = []
    for seed in range(2):
        order = EpochOrder(8, seed, shuffle=False)
        loader = DeviceLoader(grey, None, Scaler.unit(1), 4, order, drop_last=False, fresh=True)
        for epoch in range(2):
            order.set_epoch(epoch)
            seen += [tuple(batch.images.flatten().tolist()) for batch in loader]
    assert len(set(seen)) == len(seen) == 8


def test_a_resumed_epoch_goes_on_with_the_very_draws(noise):
    def loader():
        served = ready(noise(batch_size=4, binarize="dynamic")).train_dataloader()
        served.sampler.set_epoch(3)
        return served

    whole = [batch.images for batch in loader()]
    stopped, resumed = loader(), loader()
    iterator = iter(stopped)
    next(iterator), next(iterator)
    resumed.load_state_dict(stopped.state_dict())
    rest = [batch.images for batch in resumed]
    assert len(rest) == len(whole) - 2
    assert all(torch.equal(a, b) for a, b in zip(rest, whole[2:], strict=True))


def test_a_checkpoint_of_one_binarisation_is_not_taken_by_another(noise):
    state = ready(noise(batch_size=4, binarize="static")).state_dict()
    noise(batch_size=4, binarize="static").load_state_dict(state)
    for kind in (None, "dynamic"):
        with pytest.raises(UsageError, match="made on other data"):
            noise(batch_size=4, binarize=kind).load_state_dict(state)


def test_fresh_draws_do_not_wait_for_the_device():
    images = torch.empty(10, 1, 3, 3, dtype=torch.uint8, device="meta")
    order = EpochOrder(10)
    served = DeviceLoader(images, None, Scaler.unit(1), 4, order, drop_last=False, fresh=True)
    assert all(batch.images.is_meta for batch in served)


def test_other_kinds_are_refused(noise):
    with pytest.raises(UsageError, match=r"data\.binarize='random' must be one of null, static"):
        noise(binarize="random")
