import pytest
import torch
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from gen_models.data import ImageFolder
from gen_models.data.found import EXTENSIONS, find_images, images_below
from gen_models.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    """Write images by relative path, each filled with one colour."""

    def write(colours, mode="L", size=(6, 5)):
        for name, colour in colours.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, size, colour).save(tmp_path / name)
        return tmp_path

    return write


def values(images):
    return images.images[:, 0, 0, 0].tolist()


def load(root, **options):
    return ImageFolder(root, image_size=4, **options).load()


def refused(root, **options):
    with pytest.raises(UsageError) as error:
        load(root, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_test_images_come_in_random_order_always_the_same(folder):
    """Some measurements look at the first ones, which would be of one class."""
    names = {
        f"test/{name}/{i:02}.png": 40 * "abcd".index(name) + i for name in "abcd" for i in range(30)
    }
    root = folder(names | {f"train/{name}/1.png": 7 for name in "abcd"})
    _, test = load(root)
    assert values(test) != sorted(values(test)) == sorted(names.values())
    assert test.labels.tolist() == [value // 40 for value in values(test)]
    assert test.labels[:40].bincount(minlength=4).min() > 3
    assert torch.equal(load(root)[1].images, test.images)


def test_loose_images_have_no_labels_and_are_sorted(folder):
    train, test = load(folder({"b.png": 2, "a.png": 1, "C.PNG": 0, "d.gif": 3}))
    assert values(train) == [0, 1, 2, 3]
    assert (train.labels, train.classes, test) == (None, None, None)


def test_class_folders_give_sorted_labels_and_may_have_sub_folders(folder):
    root = folder(
        {"dog/1.png": 3, "cat/x.png": 1, "cat/more/y.png": 0, "dog/0.bmp": 2, ".no/a.png": 9}
    )
    (root / "empty").mkdir()
    (root / "notes.txt").write_text("passed over")
    train, test = load(root)
    assert values(train) == [0, 1, 2, 3]
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert (train.classes, test) == (("cat", "dog"), None)


def test_hidden_folders_inside_of_a_class_are_passed_over(folder):
    names = ["cat/a.png", "cat/.@__thumb/a.png", "cat/more/.old/deep/b.png", "dog/c.png"]
    train, _ = load(folder({name: number for number, name in enumerate(names)}))
    assert (values(train), train.labels.tolist()) == ([0, 3], [0, 1])


def test_links_to_folders_are_followed_once_and_loops_end(folder):
    root = folder({"data/cat/b/0.png": 0, "data/dog/1.png": 1, "out/2.png": 2, "out/3.png": 3})
    (root / "data/cat/more").symlink_to(root / "out")
    (root / "data/cat/a").symlink_to(root / "data/cat/b")  # its images come by their own path
    (root / "data/cat/again").symlink_to(root / "data/cat")
    (root / "data/cat/up").symlink_to(root / "data")  # dogs are no cats
    (root / "out/back").symlink_to(root / "out", target_is_directory=True)
    (root / "data/cat/.hidden").symlink_to(root / "data/dog")
    (root / "data/emu").symlink_to(root / "out")
    train, _ = load(root / "data")
    assert (values(train), train.labels.tolist()) == ([0, 2, 3, 1, 2, 3], [0, 0, 0, 1, 2, 2])
    found = [path.relative_to(root / "data").as_posix() for path, _ in find_images(root / "data")]
    assert found == [
        *("cat/b/0.png", "cat/more/2.png", "cat/more/3.png"),
        *("dog/1.png", "emu/2.png", "emu/3.png"),
    ]


def test_images_keep_the_order_of_their_paths(folder):
    """The hash of a folder hangs on it."""
    names = ["c/b/0.png", "c/b.png", "c/a/z/1.png", "c/B/2.png", "c/b-/3.png", "c/b/a/4.png"]
    root = folder(dict.fromkeys(names, 0))
    every = sorted(root.rglob("*.png"), key=lambda path: path.as_posix())
    assert [path for path, _ in find_images(root)] == every == images_below(root)


@pytest.mark.parametrize("extra", ["val", "valid", "validation"])
def test_train_and_test_folders_with_validation_joining_training(folder, extra):
    root = folder(
        {
            "train/a/0.png": 0,
            "train/b/1.png": 1,
            f"{extra}/c/2.png": 2,
            "test/c/3.png": 3,
            "test/a/4.png": 4,
        }
    )
    train, test = load(root)
    assert (values(train), train.labels.tolist()) == ([0, 1, 2], [0, 1, 2])
    assert (values(test), test.labels.tolist()) == ([4, 3], [0, 2])
    assert train.classes == test.classes == ("a", "b", "c")


def test_train_and_test_folders_without_classes(folder):
    train, test = load(folder({"train/0.png": 0, "train/1.png": 1, "test/2.png": 2}))
    assert (values(train), values(test), test.labels) == ([0, 1], [2], None)


def test_a_train_folder_alone_leaves_the_test_split_to_us(folder):
    data = ImageFolder(
        folder({f"train/{i:02}.png": i for i in range(20)}), image_size=(4, 6), batch_size=4
    )
    data.setup()
    assert (len(data.train), len(data.validation), len(data.test)) == (14, 2, 4)
    assert (data.shape, data.num_classes, data.name) == ((1, 4, 6), None, "folder")


def test_grey_images_among_coloured_ones_take_three_channels(folder):
    folder({"a.png": 7})
    train, _ = load(folder({"b.png": (1, 2, 3)}, mode="RGB"))
    assert train.shape == (3, 4, 4)
    assert train.images[0].unique().tolist() == [7]
    assert train.images[1, :, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_may_be_asked_for(folder, channels):
    folder({"a.png": 7})
    root = folder({"b.png": (90, 90, 90)}, mode="RGB")
    train, _ = load(root, channels=channels)
    assert train.shape == (channels, 4, 4)
    assert values(train) == [7, 90]


def test_broken_files_are_all_found_in_one_scan(folder):
    root = folder({f"{i}.png": i for i in range(3)})
    for i in range(12):
        (root / f"broken{i:02}.png").write_text("no image")
    message = refused(root)
    assert "12 of 15 images cannot be read" in message
    assert all(f"broken{i:02}.png: UnidentifiedImageError" in message for i in range(10))
    assert "broken10.png" not in message
    assert "data.on_error=skip" in message


def test_broken_files_may_be_skipped_with_one_warning_that_names_them(folder):
    root = folder({"a/0.png": 0, "b/1.png": 1, "b/3.png": 3})
    for name in ("a/00.png", "b/2.png", "b/22.png", "b/23.png"):
        (root / name).touch()
    data = ImageFolder(root, image_size=4, on_error="skip")
    with pytest.warns(UserWarning, match=r"4 of 7 .*a/00\.png.*b/23\.png") as caught:
        train, _ = data.load()
    assert len(caught) == 1
    assert (values(train), train.labels.tolist()) == ([0, 1, 3], [0, 1, 1])
    assert [path.name for path, _ in data.skipped] == ["00.png", "2.png", "22.png", "23.png"]


@pytest.mark.parametrize("below", ["", "train/"])
def test_classes_that_skipping_leaves_empty_are_named_and_keep_their_number(folder, below):
    root = folder({f"{below}{name}.png": 0 for name in ("ant/0", "bee/1", "cat/2", "dog/3")})
    if below:
        folder({"test/bee/4.png": 4, "test/dog/5.png": 5})
    for name in ("ant/0", "bee/1", "cat/20"):
        (root / f"{below}{name}.png").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"\); no training images are left of class ant, bee$"):
        train, _ = load(root, on_error="skip")
    assert (train.classes, train.labels.tolist()) == (("ant", "bee", "cat", "dog"), [2, 3])


def test_with_nothing_left_skipping_is_no_help(folder):
    (folder({}) / "a.png").touch()
    assert "1 of 1 images cannot be read" in refused(folder({}), on_error="skip")


def test_folders_without_images_are_named_with_the_extensions(tmp_path):
    message = refused(tmp_path)
    assert str(tmp_path) in message
    assert all(extension in message for extension in EXTENSIONS)
    assert "no such folder" in refused(tmp_path / "nowhere")
    file = tmp_path / "file.zip"
    file.touch()
    assert "this is a file" in refused(file)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.png", "cat/b.png"], "loose images (a.png) beside folders of images (cat)"),
        (["train/a.png", "train/cat/b.png"], "loose images (a.png)"),
        (["train/a.png", "dogs/b.png"], "dogs lies beside the train folder"),
        (["train/a.png", "b.png"], "b.png lies beside the train folder"),
        (["train/a.png", "val/cat/b.png"], "some of its training folders have class folders"),
        (["train/cat/a.png", "test/dog/b.png"], "class dog of the test images has no training"),
    ],
)
def test_mixed_layouts_are_refused(folder, names, message):
    assert message in refused(folder(dict.fromkeys(names, 0)))


@pytest.mark.parametrize(
    "splits",
    [("Test", "Train"), ("testing", "training"), ("test", "val"), ("TEST", "a"), ("a", "valid")],
)
def test_a_split_by_another_name_is_no_class(folder, splits):
    """Test images would be trained on."""
    root = folder({f"{split}/{name}.png": 0 for split in splits for name in "ab"})
    message = refused(root)
    named = ", ".join(split for split in splits if split != "a")
    assert f"no train folder, so that {named} would be read as classes or parts" in message
    assert "the folder that holds train, and perhaps val, valid," in message


@pytest.mark.parametrize("above", ["archive", "archive/faces"])
def test_splits_are_found_where_the_root_is_too_high(folder, above):
    """As an unpacked archive leaves them: all of it would be one class."""
    named = ("test", "train")
    root = folder({f"{above}/{split}/{name}/1.png": 0 for split in named for name in "ab"})
    found = f"{above}/test, {above}/train"
    assert f"so that {found} would be read as classes or parts" in refused(root)
    train, test = load(root / above)
    assert (len(train), len(test), train.classes) == (2, 2, ("a", "b"))


def test_classes_may_hold_the_name_of_a_split_in_theirs(folder):
    (folder({"latest/a.png": 0, "trains/b.png": 1}) / "test").mkdir()
    train, test = load(folder({}))
    assert (train.classes, test) == (("latest", "trains"), None)


@pytest.mark.parametrize(
    "options", [{"channels": 4}, {"on_error": "ignore"}, {"image_size": 0}, {"scaling": "no"}]
)
def test_options_outside_their_range_are_refused(tmp_path, options):
    with pytest.raises(UsageError, match=r"^data\.[^\n]+$"):
        ImageFolder(tmp_path, **options)


def test_every_extension_of_torchvision_is_read(folder):
    assert set(IMG_EXTENSIONS) < set(EXTENSIONS)
    root = folder({f"{index}{extension}": 9 for index, extension in enumerate(EXTENSIONS)})
    train, _ = load(root)
    assert torch.equal(train.images, torch.full_like(train.images, 9))
