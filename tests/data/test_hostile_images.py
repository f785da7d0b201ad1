"""Files that are no images, or no longer: each is named, and none is read as what it is not."""

import io
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gen_models.data import ImageFolder
from gen_models.data.decode import Unreadable, read_images
from gen_models.errors import UsageError

KINDS = {
    "png": ("PNG", {}),
    "jpg": ("JPEG", {"quality": 90}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {}),
    "tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {"lossless": True}),
    "ppm": ("PPM", {}),
}
SIZE = (8, 8)


def content(suffix, mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    stream, (kind, options) = io.BytesIO(), KINDS[suffix]
    Image.fromarray(pixels).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_cut_anywhere_is_named_or_whole(tmp_path, suffix):
    """Where a reader is content with less, no pixel may be missing."""
    whole = content(suffix)
    paths = [tmp_path / f"{length:05}.{suffix}" for length in range(len(whole) + 1)]
    for length, path in enumerate(paths):
        path.write_bytes(whole[:length])
    read = read_images(paths, SIZE)
    assert len(read) == len(paths)
    assert not isinstance(read[-1], Unreadable)
    for path, image in zip(paths, read, strict=True):
        if isinstance(image, Unreadable):
            assert image.path == path
            assert "\n" not in image.reason
        else:
            assert np.array_equal(image, read[-1]), path
    unreadable = sum(isinstance(image, Unreadable) for image in read)
    assert unreadable > len(whole) / 2


@given(
    data=st.binary(max_size=200), suffix=st.sampled_from(list(KINDS)), flip=st.integers(0, 2**16)
)
def test_random_bytes_and_bits_never_end_the_reading(tmp_path_factory, data, suffix, flip):
    root = tmp_path_factory.mktemp("fuzz")
    damaged = bytearray(content(suffix))
    damaged[flip % len(damaged)] ^= 1 << (flip % 8)
    files = {"a.png": content("png"), f"b.{suffix}": data, f"c.{suffix}": bytes(damaged)}
    for name, held in files.items():
        (root / name).write_bytes(held)
    folder = ImageFolder(root, image_size=8, on_error="skip")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        train, _ = folder.load()
    assert len(train) == len(files) - len(folder.skipped)
    assert train.images.shape[1:] == (3, 8, 8)
    assert all(str(path.name) in str(told[0].message) for path, _ in folder.skipped)
    assert not told or len(told) == 1
    assert "a.png" not in {path.name for path, _ in folder.skipped}


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]
SUFFIXES = {"CMYK": "tif", "YCbCr": "jpg", "F": "tif", "I": "tif"}


@given(
    modes=st.lists(st.sampled_from(MODES), min_size=1, max_size=6),
    side=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.sampled_from([None, 1, 3]),
)
def test_any_mix_of_modes_and_sizes_is_read_or_named(tmp_path_factory, modes, side, size, channels):
    root = tmp_path_factory.mktemp("modes")
    for index, mode in enumerate(modes):
        name = root / f"{index}.{SUFFIXES.get(mode, 'png')}"
        Image.new(mode, (side[0] + index, side[1])).save(name)
    folder = ImageFolder(root, image_size=list(size), channels=channels, on_error="skip")
    grey = {"1", "L", "LA", "I;16", "I"}
    kept = [mode for mode in modes if mode != "F"]
    if not kept:
        with pytest.raises(UsageError, match="mode F has no defined range"):
            folder.load()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train, _ = folder.load()
    assert len(train) == len(kept)
    assert train.shape == (channels or (1 if set(kept) <= grey else 3), *size)
    assert train.images.dtype == torch.uint8


def bomb(path, side):
    """A PNG of a few bytes that unpacks to side x side pixels."""
    Image.new("1", (side, side)).save(path)
    return path


def test_a_decompression_bomb_is_named_and_not_unpacked(tmp_path):
    """Twice Pillow's limit is an error of its own, anything above the limit is ours."""
    for name, side in (("above.png", 10_000), ("twice.png", 14_000)):
        assert bomb(tmp_path / name, side).stat().st_size < 2**16
    with pytest.raises(UsageError) as error:
        ImageFolder(tmp_path, image_size=8).load()
    assert "above.png: DecompressionBombWarning" in str(error.value)
    assert "twice.png: DecompressionBombError" in str(error.value)


def test_pillows_remarks_are_not_the_users(tmp_path, recwarn):
    """Broken EXIF data harm no pixel."""
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09nonsense")
    (image,) = read_images([path], SIZE)
    assert image.shape == (3, 8, 8)
    assert len(recwarn) == 0
