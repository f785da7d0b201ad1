import gc
import multiprocessing
import os
import resource
from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gen_models.data import ImageFolder
from gen_models.data.loader import DeviceLoader, EpochOrder
from gen_models.data.memory import free_memory
from gen_models.data.ranges import Scaler
from gen_models.data.storage import MEMORY, Storage
from gen_models.errors import UsageError

from .conftest import Noise, make_images

Usage = namedtuple("Usage", "total used free")


def ready(data):
    data.setup()
    return data


def mapped(images):
    """Whether a tensor's bytes lie in one of the process's files without a name."""
    address = images.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, *_, name = line.split(maxsplit=5)
        low, high = (int(end, 16) for end in place.split("-"))
        if low <= address < high:
            return "(deleted)" in name
    return False


@pytest.mark.parametrize("binarize", [None, "static", "dynamic"])
@pytest.mark.parametrize("resumed", [0, 3])
def test_batches_from_disk_are_those_from_memory_bit_for_bit(noise, binarize, resumed, monkeypatch):
    monkeypatch.setattr("gen_models.data.storage.PART_BYTES", 100)  # six images
    options = {"count": 60, "official": 9, "channels": 3, "batch_size": 4, "seed": 5}
    options |= {"binarize": binarize, "scaling": "standard"}
    memory, disk = (ready(noise(in_memory=place, **options)) for place in (True, False))
    assert memory.fingerprint == disk.fingerprint
    assert not mapped(memory.train.images)
    assert mapped(disk.train.images)
    for one, other in (
        (memory.train_dataloader(), disk.train_dataloader()),
        (memory.val_dataloader(), disk.val_dataloader()),
        (memory.test_dataloader(), disk.test_dataloader()),
    ):
        for loader in (one, other):
            loader.sampler.set_epoch(2)
            loader.load_state_dict({"position": resumed})
        batches = list(zip(one, other, strict=True))
        assert len(batches) == len(one) - (resumed if len(one) > resumed else resumed % len(one))
        for first, second in batches:
            assert torch.equal(first.images, second.images)
            assert torch.equal(first.labels, second.labels)
        assert one.state_dict() == other.state_dict()


@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    depths=st.lists(st.sampled_from([1, 3]), min_size=6, max_size=6),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
)
def test_parts_are_joined_alike_in_memory_and_on_disk(
    tmp_path_factory, lengths, depths, size, dtype
):
    parts = [
        torch.randint(0, 256, (length, depth, *size)).to(dtype)
        for length, depth in zip(lengths, depths, strict=False)
    ]
    disk = Storage(tmp_path_factory.getbasetemp())
    one, other = MEMORY.join(parts), disk.join(iter(parts))
    assert one.dtype == other.dtype == dtype
    assert torch.equal(one, other)
    assert one.shape == (sum(lengths), max(depths[: len(lengths)]), *size)
    images = make_images(9, 0, channels=3)
    rows = torch.tensor([4, 0, 8])
    assert torch.equal(disk.subset(images, rows).images, images.images[rows])
    assert disk.subset(images, rows).labels.tolist() == images.labels[rows].tolist()


def test_a_folder_gives_the_same_from_disk_as_from_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("gen_models.data.folder.PART_BYTES", 3 * 16 * 4)  # four files at a time
    for index in range(40):  # grey at first, then coloured ones among them
        mode, colour = ("RGB", (index, 0, 9)) if index > 20 and index % 3 else ("L", index)
        name = tmp_path / ("train" if index % 5 else "test") / "ab"[index % 2] / f"{index:02}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, (5, 4), colour).save(name)
    (tmp_path / "train/a/03.png").write_text("no image")
    memory, disk = (
        ImageFolder(tmp_path, image_size=4, batch_size=4, on_error="skip", in_memory=place)
        for place in (True, False)
    )
    for data in (memory, disk):
        with pytest.warns(UserWarning, match="1 of 41 images"):
            data.setup()
    assert memory.fingerprint == disk.fingerprint
    assert (memory.shape, len(memory.test), len(disk.test)) == ((3, 4, 4), 8, 8)
    assert torch.equal(memory.train.labels, disk.train.labels)


def test_nothing_is_left_of_the_file(noise, tmp_path, monkeypatch):
    monkeypatch.setenv("GEN_MODELS_CACHE", str(tmp_path / "new"))
    files = len(os.listdir("/proc/self/fd"))
    data = ready(noise(batch_size=4, in_memory=False))
    assert mapped(data.train.images)
    assert list((tmp_path / "new").iterdir()) == []
    del data
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == files


@pytest.mark.parametrize(
    ("free", "on_disk"), [(None, False), (0, True), (2560, False), (2559, True)]
)
def test_free_memory_decides_where_nothing_is_said(noise, monkeypatch, free, on_disk):
    monkeypatch.setattr("gen_models.data.storage.free_memory", lambda: free)
    assert (ready(noise(batch_size=4)).storage.folder is not None) == on_disk
    assert ready(noise(batch_size=4, in_memory=True)).storage.folder is None


def groups(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    1000 kB\n"}
SECOND = {"proc/self/cgroup": "0::/job/7\n"}
FIRST = {"proc/self/cgroup": "9:name=systemd:/\n4:memory:/job\n0::/\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        (MEMINFO, 1_024_000),
        (
            MEMINFO
            | SECOND
            | {
                "sys/fs/cgroup/job/7/memory.max": "5000\n",
                "sys/fs/cgroup/job/7/memory.current": "4000\n",
                "sys/fs/cgroup/job/7/memory.stat": "anon 9\ninactive_file 300\n",
            },
            1300,
        ),
        (
            MEMINFO
            | SECOND  # seen from inside a container
            | {
                "sys/fs/cgroup/memory.max": "max\n",
                "sys/fs/cgroup/memory.current": "4000\n",
                "sys/fs/cgroup/memory.stat": "inactive_file 300\n",
            },
            1_024_000,
        ),
        (
            MEMINFO
            | FIRST
            | {
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "5000\n",
                "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "4500\n",
                "sys/fs/cgroup/memory/job/memory.stat": "inactive_file 7\ntotal_inactive_file 20\n",
            },
            520,
        ),
    ],
)
def test_free_memory_is_that_of_the_machine_or_of_the_job(tmp_path, files, expected):
    assert free_memory(groups(tmp_path, files)) == expected


def test_this_machine_says_what_is_free():
    assert free_memory() > 2**20


class Large(Noise):
    """131 MB of images, 262 MB while they are split."""

    def load(self):
        shape = 1000, 1, 64, 64
        parts = (torch.full(shape, n, dtype=torch.uint8) for n in range(32))
        loaded = self.store(32 * 1000 * 64 * 64).join(parts)
        return type(self.source)(loaded), None


def one_epoch(in_memory, limit):
    """What an epoch over `Large` says where only `limit` bytes more can be had."""
    used = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGESIZE")
    resource.setrlimit(resource.RLIMIT_DATA, (used + limit, used + limit))
    try:
        data = ready(Large(batch_size=64, in_memory=in_memory))
        total = sum(batch.images.sum().item() for batch in data.train_dataloader())
    except UsageError as error:
        return str(error)
    return f"{len(data.train)} {total:.0f} {data.fingerprint[:8]}"


def test_a_set_larger_than_memory_is_trained_on_from_disk():
    small, large = 110 * 2**20, 2**30
    # Fresh processes: one that is forked may wait for ever for the threads that torch had started.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as fresh:
        refusal, whole, from_disk = fresh.map(
            one_epoch, (True, True, False), (small, large, small), timeout=300
        )
    assert "data.in_memory=false" in refusal
    assert whole.startswith("23040 ")
    assert from_disk == whole


def refused(act):
    with pytest.raises(UsageError) as error:
        act()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_disk_without_room_or_permission_is_told_of(noise, tmp_path, monkeypatch):
    monkeypatch.setenv("GEN_MODELS_CACHE", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 1000))
        told = refused(lambda: ready(noise(batch_size=4, in_memory=False)))
        assert "GEN_MODELS_CACHE" in told
        assert str(tmp_path) in told
    (tmp_path / "file").touch()
    monkeypatch.setenv("GEN_MODELS_CACHE", str(tmp_path / "file"))
    assert "GEN_MODELS_CACHE" in refused(lambda: ready(noise(batch_size=4, in_memory=False)))


def test_a_disk_that_fills_while_it_is_written_is_told_of(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    parts = (torch.zeros(1000, 1, 64, 64, dtype=torch.uint8) for _ in range(3))
    full = Storage(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", lambda **_: open("/dev/full", "wb"))  # noqa: SIM115
        told = refused(lambda: full.join(parts))
    assert "No space left on device" in told


def test_too_little_memory_on_the_device_names_the_way_out():
    class Full(torch.Tensor):
        def to(self, *_, **__):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 90 GiB")

    images = torch.zeros(1, 1, 2, 2, dtype=torch.uint8).as_subclass(Full)
    told = refused(lambda: MEMORY.placed(images, torch.device("cuda")))
    assert "data.in_memory=false" in told


def test_images_on_disk_stay_there_and_batches_go_to_the_device(noise):
    data = ready(noise(batch_size=4, in_memory=False))
    strategy = SimpleNamespace(root_device=torch.device("meta"))
    data.trainer = SimpleNamespace(world_size=1, strategy=strategy)
    served = data.train_dataloader()
    assert mapped(served.images)
    for batch in served:
        assert batch.images.is_meta
        assert batch.labels.is_meta


def test_an_option_that_is_none_is_refused(noise):
    assert "one of auto, true, false" in refused(lambda: noise(in_memory="disk"))


def test_the_loader_serves_where_the_images_are_if_nothing_is_said():
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    served = DeviceLoader(images, None, Scaler.unit(1), 2, EpochOrder(4), drop_last=False)
    assert served.device == images.device
