"""Samples of any program, measured from the command line."""

import pytest
from torchvision.utils import save_image

from gen_models.data import Digits
from gen_models.measure import main
from gen_models.records import Record


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Real digits in train/ and test/, and samples: thirty training images and thirty new ones."""
    train, test = Digits().load()
    place = tmp_path_factory.mktemp("images")
    sets = {
        "real/train": train.images[:300],
        "real/test": test.images[:100],
        "samples": [*train.images[:30], *test.images[100:130]],
    }
    for name, images in sets.items():
        (place / name).mkdir(parents=True)
        for number, image in enumerate(images):
            save_image(image.float() / 255, place / name / f"{number:04d}.png")
    return place


def words(folders, out, **other):
    options = {"real": folders / "real", "samples": folders / "samples", "size": 16, "channels": 1}
    options |= {"out": out, **other}
    return [word for key, value in options.items() for word in (f"--{key}", str(value))]


def test_samples_get_the_record_and_the_report_of_a_run(folders, tmp_path, capsys):
    assert main(words(folders, tmp_path / "out", name="mine")) == 0
    record = Record.read(tmp_path / "out/record.json")
    assert record.model == "mine"
    assert record.split == {"train": 270, "validation": 30, "test": 100}
    values = {value.name: value for value in record.values}
    assert values["fid_random128_60_test"].floor.value > 0
    assert values["kid_pca64_60_test"].value is not None
    # Thirty were copied, but for those that are held out for validation.
    assert 0.3 < values["copies_60"].value <= 0.5
    assert (tmp_path / "out/report.html").stat().st_size > 10_000
    assert "Report: " in capsys.readouterr().out
    assert main(words(folders, tmp_path / "out")) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_bad_input_is_one_line(folders, tmp_path, capsys):
    assert main(words(folders, tmp_path / "out", samples=tmp_path / "nowhere")) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "nowhere" in error
    assert not (tmp_path / "out").exists()
