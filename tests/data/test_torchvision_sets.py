import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image

from gen_models.data import ImageFolder, TorchvisionImages
from gen_models.errors import UsageError

from .test_storage import mapped

REPOSITORY = Path(__file__).parents[2]
REAL = Path(os.environ.get("GEN_MODELS_DATA", REPOSITORY.parent / "shared" / "data"))
PARTS = {"train": 12, "t10k": 5}


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim])
    sides = b"".join(side.to_bytes(4, "big") for side in array.shape)
    path.write_bytes(header + sides + array.tobytes())


@pytest.fixture(params=["MNIST", "FashionMNIST"])
def idx_root(tmp_path, request):
    """A tiny set in MNIST's format: image i is filled with i."""
    raw = tmp_path / request.param / "raw"
    raw.mkdir(parents=True)
    for part, count in PARTS.items():
        images = np.arange(count, dtype=np.uint8)[:, None, None] + np.zeros((1, 28, 28), np.uint8)
        write_idx(raw / f"{part}-images-idx3-ubyte", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 10)
    return tmp_path, {"MNIST": "mnist", "FashionMNIST": "fashion_mnist"}[request.param], raw


def refused(dataset, root, **options):
    with pytest.raises(UsageError) as error:  # noqa: PT012 - refused by any of the three
        data = TorchvisionImages(dataset, root, **options)
        data.prepare_data()
        data.setup()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_idx_files(idx_root):
    root, name, _ = idx_root
    data = TorchvisionImages(name, root, batch_size=4)
    data.prepare_data()
    data.setup()
    assert (data.name, data.shape, data.num_classes) == (name, (1, 28, 28), 10)
    assert (len(data.train), len(data.validation), len(data.test)) == (11, 1, 5)
    assert data.test.images[:, 0, 5, 5].tolist() == data.test.labels.tolist() == [0, 1, 2, 3, 4]


def test_sizes_may_be_asked_for(idx_root):
    root, name, _ = idx_root
    train, test = TorchvisionImages(name, root, image_size=[32, 16]).load()
    assert train.shape == test.shape == (1, 32, 16)
    assert train.images[:, 0, 5, 5].tolist() == list(range(12))


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("damage", [lambda old: old[:-3], lambda old: b"", lambda old: old + b"\0"])
def test_damaged_idx_files_are_named(idx_root, file, damage):
    root, name, raw = idx_root
    (raw / file).write_bytes(damage((raw / file).read_bytes()))
    size = (raw / file).stat().st_size
    assert f"{raw / file} is damaged or cut off ({size:,} bytes" in refused(name, root)


# The second is an IDX file, of four-byte floats.
@pytest.mark.parametrize("content", [b"<html>404 Not Found</html>", b"\0\0\x0d\1\0\0\0\4abcd"])
def test_a_file_that_is_no_idx_file_of_bytes_is_named(idx_root, content):
    root, name, raw = idx_root
    (raw / "train-images-idx3-ubyte").write_bytes(content)
    assert "train-images-idx3-ubyte is damaged" in refused(name, root)


def test_a_missing_file_names_the_folder_and_the_way_out(idx_root):
    root, name, raw = idx_root
    (raw / "t10k-labels-idx1-ubyte").unlink()
    message = refused(name, root)
    assert f"no complete {name} in {raw}" in message
    assert "data.download=true" in message


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "cifar10", "svhn", "celeba"])
def test_a_missing_root_is_named(dataset, tmp_path):
    message = refused(dataset, tmp_path / "nowhere")
    assert f"data.root={tmp_path / 'nowhere'}" in message
    assert "data.download=true" in message
    assert not (tmp_path / "nowhere").exists()


def test_a_failing_download_is_one_line(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("Error downloading train-images\nTried a mirror")

    monkeypatch.setattr(torchvision.datasets, "MNIST", fail)
    message = refused("mnist", tmp_path, download=True)
    assert "could not be fetched" in message
    assert "Error downloading train-images" in message


def test_a_complete_set_is_not_fetched_again(idx_root):
    root, name, _ = idx_root
    TorchvisionImages(name, root, download=True).prepare_data()


def test_unknown_names_list_the_known_ones(tmp_path):
    assert "mnist, fashion_mnist, cifar10, svhn, celeba" in refused("imagenet", tmp_path)


def test_cifar_batches(tmp_path, monkeypatch):
    batches = tmp_path / "cifar-10-batches-py"
    batches.mkdir()
    pixels = np.arange(3072, dtype=np.uint16).astype(np.uint8)
    for name in ["test_batch", *(f"data_batch_{i}" for i in range(1, 6))]:
        entry = {"data": np.stack([pixels, pixels[::-1]]), "labels": [3, 7]}
        (batches / name).write_bytes(pickle.dumps(entry))
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    train, test = TorchvisionImages("cifar10", tmp_path).load()
    assert (len(train), len(test), train.shape) == (10, 2, (3, 32, 32))
    assert torch.equal(test.images[0].flatten(), torch.from_numpy(pixels))
    assert (test.labels.tolist(), test.classes) == ([3, 7], tuple("abcdefghij"))


def test_svhn_matrices(tmp_path, monkeypatch):
    import scipy.io

    for name in ("train", "test"):
        images = np.zeros((32, 32, 3, 4), np.uint8)
        images[1, 2, :, 3] = [5, 6, 7]
        matrix = {"X": images, "y": np.array([[1], [10], [2], [9]])}
        scipy.io.savemat(tmp_path / f"{name}_32x32.mat", matrix)
    monkeypatch.setattr("torchvision.datasets.svhn.check_integrity", lambda *_: True)
    train, test = TorchvisionImages("svhn", tmp_path).load()
    assert train.shape == (3, 32, 32)
    assert test.images[3, :, 1, 2].tolist() == [5, 6, 7]
    assert test.labels.tolist() == [1, 0, 2, 9]


@pytest.fixture
def celeba_root(tmp_path, monkeypatch):
    """Six faces: white inside the 140x140 pixels around the centre, black outside."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06}.jpg" for i in range(1, 7)]
    for name in names:
        face = Image.new("RGB", (178, 218), "black")
        face.paste("white", (19, 39, 159, 179))
        face.save(folder / "img_align_celeba" / name, quality=100, subsampling=0)
    partition = zip(names, [0, 0, 0, 1, 2, 2], strict=True)
    lists = {
        "list_eval_partition.txt": [f"{name} {part}" for name, part in partition],
        "identity_CelebA.txt": [f"{name} 1" for name in names],
        **{
            f"list_{kind}_celeba.txt": ["6", "a b", *(f"{name} 1 -1" for name in names)]
            for kind in ("bbox", "landmarks_align", "attr")
        },
    }
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    monkeypatch.setattr("torchvision.datasets.celeba.check_integrity", lambda *_: True)
    return tmp_path


@pytest.mark.parametrize(("image_size", "shape"), [(None, (3, 64, 64)), ([20, 10], (3, 20, 10))])
def test_celeba_is_cropped_to_140_and_resized(celeba_root, image_size, shape, monkeypatch):
    monkeypatch.setattr("gen_models.data.storage.PART_BYTES", 2 * 3 * 20 * 10)
    train, test = TorchvisionImages("celeba", celeba_root, image_size=image_size).load()
    assert (len(train), len(test), train.shape, train.labels) == (3, 2, shape, None)
    assert train.images.min() > 240


@pytest.mark.parametrize("size", [[20, 10], None])
def test_what_is_decoded_or_resized_lies_where_in_memory_says(
    celeba_root, idx_root, size, monkeypatch
):
    monkeypatch.setattr("gen_models.data.storage.PART_BYTES", 2 * 3 * 20 * 10)  # two faces
    mnist, name, _ = idx_root
    for root, dataset, placed in (
        (celeba_root, "celeba", True),
        (mnist, name, size is not None),  # what torchvision holds in memory as it is stays there
    ):
        sets = [
            TorchvisionImages(dataset, root, image_size=size, in_memory=place).load()
            for place in (True, False)
        ]
        for memory, disk in zip(*sets, strict=True):
            assert torch.equal(memory.images, disk.images)
            assert (mapped(memory.images), mapped(disk.images)) == (False, placed)


def test_a_broken_face_is_named(celeba_root):
    path = celeba_root / "celeba" / "img_align_celeba" / "000005.jpg"
    path.write_bytes(path.read_bytes()[:900])
    assert f"{path} cannot be read" in refused("celeba", celeba_root)


def test_the_real_mnist():
    if not (REAL / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST in {REAL}; GEN_MODELS_DATA may name another folder")
    data = TorchvisionImages("mnist", REAL)
    train, test = data.load()
    assert (len(train), len(test), train.shape) == (60_000, 10_000, (1, 28, 28))
    assert (int(train.labels[0]), int(test.labels[0])) == (5, 7)
    assert (train.images.min(), train.images.max()) == (0, 255)
    # The published mean of the training pixels.
    assert train.images.double().mean() / 255 == pytest.approx(0.1307, abs=5e-5)


def test_a_cut_file_is_told_of_with_both_sizes(idx_root):
    root, name, raw = idx_root
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])
    assert "(1,000 bytes, its header says 9,424)" in refused(name, root)  # 16 + 12 * 28 * 28


def test_labels_that_do_not_match_are_told_of_by_file(idx_root):
    root, name, raw = idx_root
    write_idx(raw / "train-labels-idx1-ubyte", np.zeros(11, np.uint8))
    message = refused(name, root)
    assert "train-images-idx3-ubyte holds 12 images" in message
    assert "train-labels-idx1-ubyte 11 labels" in message


class Payload:
    """A pickle that makes a folder when it is read."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def test_a_pickle_in_the_place_of_a_batch_is_refused_and_does_not_run(tmp_path):
    """CIFAR's files are pickles, and are read only where their checksum is the published one."""
    batches = tmp_path / "cifar-10-batches-py"
    batches.mkdir()
    names = ["batches.meta", "test_batch", *(f"data_batch_{i}" for i in range(1, 6))]
    payload = pickle.dumps(Payload(tmp_path / "run"))
    for name in names:
        (batches / name).write_bytes(payload)
    assert "no complete cifar10" in refused("cifar10", tmp_path)
    assert not (tmp_path / "run").exists()
    pickle.loads(payload)  # it is a real one
    assert (tmp_path / "run").exists()


@pytest.mark.parametrize("suffix", [".mat", ".npy", ".pkl", ".png"])
def test_a_pickle_by_another_name_does_not_run(tmp_path, suffix):
    payload = pickle.dumps(Payload(tmp_path / "run"))
    for name in ("train_32x32", "test_32x32"):
        (tmp_path / f"{name}{suffix}").write_bytes(payload)
    assert "no complete svhn" in refused("svhn", tmp_path)
    with pytest.raises(UsageError, match=r"no images in this folder|cannot be read"):
        ImageFolder(tmp_path).load()
    assert not (tmp_path / "run").exists()


def hostile_archive(path):
    absolute = str(path.parent.parent / "absolute")
    with tarfile.open(path, "w:gz") as archive:
        for name in ("../../escaped", absolute, "cifar-10-batches-py/test_batch"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"bad"))


def test_a_strangers_archive_is_not_unpacked(tmp_path, monkeypatch):
    """What a download brings, or what lies there, is unpacked by its published checksum alone."""
    root = tmp_path / "deep" / "root"
    root.mkdir(parents=True)
    hostile_archive(root / "cifar-10-python.tar.gz")

    def fetch(url, path, **_):
        hostile_archive(path)

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", fetch)
    message = refused("cifar10", root, download=True)
    assert "could not be fetched" in message
    assert not (tmp_path / "escaped").exists()
    assert not (tmp_path / "deep/absolute").exists()
    assert not (root / "cifar-10-batches-py").exists()
