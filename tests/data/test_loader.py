from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from gen_models.data.loader import Batch, DeviceLoader, EpochOrder
from gen_models.data.ranges import Scaler, to_pixels
from gen_models.errors import UsageError


def loader(count=10, batch_size=4, shuffle=False, drop_last=False, labelled=True, scaler=None):
    images = torch.arange(count * 4).to(torch.uint8).reshape(count, 1, 2, 2)
    labels = torch.arange(count) if labelled else None
    order = EpochOrder(count, seed=0, shuffle=shuffle)
    return DeviceLoader(images, labels, scaler or Scaler.unit(1), batch_size, order, drop_last)


def labels_of(batches):
    return [batch.labels.tolist() for batch in batches]


@pytest.mark.parametrize(("drop_last", "sizes"), [(True, [4, 4]), (False, [4, 4, 2])])
def test_batches_and_length(drop_last, sizes):
    batches = list(loader(drop_last=drop_last))
    assert [len(batch.images) for batch in batches] == sizes
    assert len(loader(drop_last=drop_last)) == len(sizes)
    assert len(loader(count=8, drop_last=drop_last)) == 2


def test_a_batch_is_scaled_images_with_their_labels():
    served = loader(shuffle=True, scaler=Scaler.symmetric(1))
    for batch in served:
        assert isinstance(batch, Batch)
        pixels = to_pixels(served.images[batch.labels])
        assert torch.equal(batch.images, Scaler.symmetric(1)(pixels))
    assert next(iter(loader(labelled=False))).labels is None


def test_orders_are_permutations_that_differ_by_epoch_and_by_seed():
    orders = {}
    for seed in range(3):
        order = EpochOrder(50, seed=seed, shuffle=True)
        for epoch in range(3):
            order.set_epoch(epoch)
            assert sorted(order) == list(range(50))
            orders[seed, epoch] = tuple(order)
    assert len(set(orders.values())) == 9
    again = EpochOrder(50, seed=2, shuffle=True)
    again.set_epoch(1)
    assert tuple(again) == orders[2, 1]


def test_without_shuffling_every_epoch_is_in_order():
    order = EpochOrder(5, seed=3, shuffle=False)
    order.set_epoch(4)
    assert list(order) == [0, 1, 2, 3, 4]


def test_a_dataloader_with_the_same_sampler_gives_the_same_order():
    served = loader(shuffle=True)
    served.sampler.set_epoch(2)
    usual = torch.utils.data.DataLoader(served.labels, batch_size=4, sampler=served.sampler)
    assert labels_of(served) == [labels.tolist() for labels in usual]


def test_the_iterator_may_be_asked_for_before_the_epoch_is_told():
    early = loader(shuffle=True)
    batches = iter(early)
    early.sampler.set_epoch(7)
    late = loader(shuffle=True)
    late.sampler.set_epoch(7)
    assert labels_of(batches) == labels_of(late)


def test_state_goes_on_behind_the_last_batch_and_only_once():
    whole = labels_of(loader(shuffle=True))
    stopped = loader(shuffle=True)
    next(iter(stopped))
    resumed = loader(shuffle=True)
    resumed.load_state_dict(stopped.state_dict())
    assert labels_of(resumed) == whole[1:]
    assert labels_of(resumed) == whole
    resumed.load_state_dict(resumed.state_dict())
    assert labels_of(resumed) == whole


class Watcher(pl.LightningModule):
    """Learns nothing and writes down which images it was shown."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = {"train": {}, "validation": {}}

    def note(self, kind, batch):
        assert isinstance(batch, Batch)
        first_bytes = (batch.images[:, 0, 0, 0] * 255).round().long().tolist()
        self.seen[kind].setdefault(self.current_epoch, []).append(first_bytes)

    def training_step(self, batch, batch_idx):
        self.note("train", batch)
        return self.weight * batch.images.mean()

    def validation_step(self, batch, batch_idx):
        self.note("validation", batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data, epochs=3, ckpt_path=None, callbacks=(), **options):
    watcher = Watcher()
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=bool(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        **options,
    )
    trainer.fit(watcher, datamodule=data, ckpt_path=ckpt_path)
    return watcher.seen


@pytest.mark.parametrize("labelled", [True, False])
def test_a_trainer_sees_full_batches_in_another_order_each_epoch(noise, labelled):
    data = noise(count=43, batch_size=8, scaling="unit", labelled=labelled)
    seen = fit(data)
    train, validation = seen["train"], seen["validation"]
    assert list(train) == [0, 1, 2]
    assert len({str(epoch) for epoch in train.values()}) == 3
    members = set(data.split_indices["train"].tolist())
    for batches in train.values():
        assert [len(batch) for batch in batches] == [8] * (len(data.train) // 8)
        shown = [image for batch in batches for image in batch]
        assert len(set(shown)) == len(shown)
        assert set(shown) <= members
    in_order = data.split_indices["validation"].tolist()
    for batches in validation.values():
        assert [image for batch in batches for image in batch] == in_order


def test_the_order_follows_the_seed(noise):
    first, same, other = (fit(noise(batch_size=4, seed=seed), epochs=1) for seed in (0, 0, 1))
    assert first["train"] == same["train"]
    assert first["train"] != other["train"]
    assert first["validation"] == other["validation"]


# One checkpoint behind each epoch, or one inside an epoch: 28 training images, 7 batches of 4.
@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")
@pytest.mark.parametrize(("every", "batches_done"), [({"every_n_epochs": 1}, 14), ({}, 10)])
def test_a_resumed_run_sees_the_batches_the_whole_run_saw(noise, tmp_path, every, batches_done):
    def run(name, ckpt_path=None):
        options = every or {"every_n_train_steps": batches_done}
        saving = ModelCheckpoint(tmp_path / name, filename="{step}", save_top_k=-1, **options)
        return fit(noise(count=39, batch_size=4), 3, ckpt_path, [saving])["train"]

    whole = run("whole")
    resumed = run("resumed", tmp_path / "whole" / f"step={batches_done}.ckpt")
    assert [batch for epoch in whole.values() for batch in epoch][batches_done:] == [
        batch for epoch in resumed.values() for batch in epoch
    ]


def test_nothing_in_the_loop_waits_for_the_device():
    # A tensor on the meta device has no values: reading one, as .item() does, would raise.
    images = torch.empty(10, 1, 2, 2, dtype=torch.uint8, device="meta")
    labels = torch.empty(10, dtype=torch.int64, device="meta")
    served = DeviceLoader(images, labels, Scaler.symmetric(1), 4, EpochOrder(10), drop_last=False)
    for batch in served:
        assert batch.images.is_meta
        assert batch.labels.is_meta
    assert [len(batch.images) for batch in served] == [4, 4, 2]
    assert not Scaler.symmetric(1).mean.is_meta


def attached(data, world_size):
    """The module set up and attached to a trainer on the meta device."""
    data.setup()
    strategy = SimpleNamespace(root_device=torch.device("meta"))
    data.trainer = SimpleNamespace(world_size=world_size, strategy=strategy)
    return data


def test_the_images_go_to_the_trainers_device_and_the_module_keeps_its_own(noise):
    data = attached(noise(batch_size=4), world_size=1)
    for served in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert served.images.is_meta
        assert served.labels.is_meta
    assert not data.scaler.mean.is_meta
    assert not data.train.images.is_meta


@pytest.mark.parametrize("fresh", [False, True])
def test_processes_are_served_parts_that_make_up_each_batch(fresh):
    def served(place):
        images = torch.full((10, 1, 2, 2), 128, dtype=torch.uint8)
        order = EpochOrder(10, seed=0, shuffle=True)
        order.set_epoch(1)
        given = images, torch.arange(10), Scaler.unit(1), 4, order
        return DeviceLoader(*given, drop_last=True, fresh=fresh, place=place)

    first, second = served((0, 2)), served((1, 2))
    assert len(first) == len(second) == len(served((0, 1))) == 2
    for whole, *parts in zip(served((0, 1)), first, second, strict=True):
        assert [len(part.images) for part in parts] == [2, 2]
        assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
        assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))


def test_a_part_goes_on_where_the_whole_was_stopped():
    whole, part = loader(drop_last=True), loader(drop_last=True)
    part.place = (1, 2)
    batches = iter(whole)
    next(batches)
    part.load_state_dict(whole.state_dict())
    assert labels_of(part) == [[6, 7]]
    assert part.state_dict() == {"position": 2}


@pytest.mark.parametrize(
    ("strategy", "batch_size", "message"),
    [
        ({}, 4, "set trainer=ddp"),
        ({"shares_batches": True}, 3, "make it a multiple of their number"),
    ],
)
def test_processes_that_cannot_share_a_batch_are_refused(noise, strategy, batch_size, message):
    data = noise(batch_size=batch_size)
    data.setup()
    strategy = SimpleNamespace(root_device=torch.device("cpu"), **strategy)
    data.trainer = SimpleNamespace(world_size=2, strategy=strategy)
    with pytest.raises(UsageError, match=message):
        data.train_dataloader()
