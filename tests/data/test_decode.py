import numpy as np
import pytest
import torch
from PIL import Image

from gen_models.data.decode import (
    Unreadable,
    height_and_width,
    read_image,
    read_images,
    resize,
    standardise,
)
from gen_models.errors import UsageError


def saved(image, path, **options):
    image.save(path, **options)
    return path


def flat(mode, colour, size=(4, 4)):
    return Image.new(mode, size, colour)


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (flat("L", 77), "png", [77]),
        (flat("1", 1), "png", [255]),
        (flat("LA", (0, 128)), "png", [127]),
        (flat("RGB", (1, 2, 3)), "png", [1, 2, 3]),
        (flat("RGBA", (255, 0, 0, 0)), "png", [255, 255, 255]),
        (flat("RGBA", (0, 0, 0, 51)), "png", [204, 204, 204]),
        (flat("RGBA", (9, 8, 7, 255)), "webp", [9, 8, 7]),
        (flat("CMYK", (0, 255, 255, 0)), "tif", [255, 0, 0]),
        (flat("I;16", 32768), "png", [128]),
        (flat("I;16", 65535), "tif", [255]),
        (flat("I;16", 257), "png", [1]),
        (flat("I", 1285), "tif", [5]),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_every_mode_becomes_grey_or_colour(tmp_path, image, suffix, expected):
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(image, tmp_path / f"image.{suffix}", **options)
    picture = read_image(path, (4, 4))
    assert picture.dtype == np.uint8
    assert picture.shape == (len(expected), 4, 4)
    assert picture[:, 2, 1].tolist() == expected


@pytest.mark.parametrize(("transparent", "expected"), [(None, [0, 0, 250]), (0, [255, 255, 255])])
def test_palettes_become_rgb_and_their_transparent_entry_white(tmp_path, transparent, expected):
    image = flat("P", 0)
    image.putpalette([0, 0, 250, 10, 20, 30])
    options = {} if transparent is None else {"transparency": transparent}
    path = saved(image, tmp_path / "image.png", **options)
    with Image.open(path) as stored:
        assert stored.mode == "P"
    assert read_image(path, (4, 4))[:, 0, 0].tolist() == expected


def test_a_transparent_grey_value_becomes_white(tmp_path):
    path = saved(flat("L", 7), tmp_path / "image.png", transparency=7)
    assert read_image(path, (4, 4))[:, 0, 0].tolist() == [255]


def test_sixteen_bits_are_scaled_over_their_whole_range(tmp_path):
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    path = saved(Image.fromarray(ramp), tmp_path / "ramp.png")
    assert read_image(path, (16, 16)).ravel().tolist() == list(range(256))


@pytest.mark.parametrize("image", [flat("F", 0.5), flat("I", 70000)], ids=["F", "I"])
def test_images_without_a_range_are_refused(image):
    with pytest.raises(ValueError, match="no defined range"):
        standardise(image)


def test_exif_orientation_is_applied(tmp_path):
    image = flat("RGB", "black", (8, 4))
    image.paste("white", (0, 0, 4, 4))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    path = saved(image, tmp_path / "turned.png", exif=exif)
    picture = read_image(path, (8, 4))[0]
    assert picture[0].min() == 255
    assert picture[-1].max() == 0


def test_animations_give_their_first_frame(tmp_path):
    frames = [flat("L", value) for value in (40, 200)]
    path = saved(frames[0], tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    with Image.open(path) as stored:
        assert stored.n_frames == 2
    assert set(read_image(path, (4, 4)).ravel().tolist()) == {40}


@pytest.mark.parametrize(
    ("channels", "expected"), [(1, [76]), (3, [255, 0, 0]), (None, [255, 0, 0])]
)
def test_channels_convert(tmp_path, channels, expected):
    path = saved(flat("RGB", (255, 0, 0)), tmp_path / "red.png")
    assert read_image(path, (4, 4), channels)[:, 0, 0].tolist() == expected
    grey = saved(flat("L", 9), tmp_path / "grey.png")
    assert len(read_image(grey, (4, 4), channels)) == (channels or 1)


@pytest.mark.parametrize("size", [(4, 4), (3, 9), (9, 3), (1, 1), (17, 5)])
@pytest.mark.parametrize("source", [(7, 5), (1, 30), (40, 40)])
def test_any_size_from_any_size(tmp_path, size, source):
    path = saved(flat("RGB", (5, 6, 7), source), tmp_path / "image.png")
    picture = read_image(path, size)
    assert picture.shape == (3, *size)
    assert (picture == np.array([5, 6, 7], np.uint8)[:, None, None]).all()


def test_the_longer_side_is_cut_evenly_after_covering(tmp_path):
    image = flat("L", 0, (12, 4))
    image.paste(255, (4, 0, 8, 4))  # the middle third is the square that stays
    path = saved(image, tmp_path / "wide.png")
    assert read_image(path, (4, 4)).min() == 255
    assert read_image(path, (4, 12))[0, 0].tolist() == [0] * 4 + [255] * 4 + [0] * 4


def test_a_crop_keeps_the_centre(tmp_path):
    image = flat("L", 0, (10, 8))
    image.paste(255, (3, 2, 7, 6))
    path = saved(image, tmp_path / "image.png")
    assert read_image(path, (4, 4), crop=(4, 4)).min() == 255
    assert read_image(path, (4, 4)).min() < 10


def test_shrinking_is_antialiased(tmp_path):
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    path = saved(Image.fromarray(stripes), tmp_path / "stripes.png")
    assert abs(int(read_image(path, (8, 8))[0, 4, 4]) - 128) < 10


def test_files_come_back_in_order_and_broken_ones_as_reasons(tmp_path, monkeypatch):
    good = [saved(flat("L", value), tmp_path / f"{value}.png") for value in range(20)]
    noise = Image.effect_noise((64, 64), 80)
    cut = saved(noise, tmp_path / "cut.jpg")
    cut.write_bytes(cut.read_bytes()[:600])
    empty = tmp_path / "empty.png"
    empty.touch()
    text = tmp_path / "text.png"
    text.write_text("not an image")
    script = tmp_path / "script.png"
    script.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n")
    bomb = saved(flat("L", 0, (80, 80)), tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    broken = [cut, empty, text, script, bomb]
    pictures = read_images([*good, *broken], (4, 4))
    assert [picture[0, 0, 0] for picture in pictures[:20]] == list(range(20))
    assert [picture.path for picture in pictures[20:]] == broken
    reasons = [picture.reason for picture in pictures[20:]]
    assert "truncated" in reasons[0]
    assert all("cannot identify" in reason for reason in reasons[1:4])
    assert "decompression bomb" in reasons[4]
    assert not any("\n" in reason or str(tmp_path) in reason for reason in reasons)
    assert all(isinstance(picture, Unreadable) for picture in pictures[20:])


@pytest.mark.parametrize("channels", [1, 3])
def test_stored_images_are_resized_as_files_are(tmp_path, channels):
    images = torch.randint(0, 256, (3, channels, 10, 10)).to(torch.uint8)
    small = resize(images, (6, 4))
    for image, expected in zip(images, small, strict=True):
        array = image.permute(1, 2, 0).squeeze(-1).numpy()
        path = saved(Image.fromarray(array), tmp_path / "image.png")
        assert np.array_equal(read_image(path, (6, 4)), expected.numpy())
    assert resize(images, (10, 10)) is images


@pytest.mark.parametrize("size", [0, -3, [4], [4, 0], [4, 4, 4], True, [4.0, 4]])
def test_sizes_that_are_none_are_refused(size):
    with pytest.raises(UsageError, match=r"^data\.image_size=[^\n]+$"):
        height_and_width(size)
