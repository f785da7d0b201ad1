"""`python -m gen_models.evaluate --samples`: images of any program, beside trained models."""

import csv
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from gen_models import load_run
from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.data import Digits, to_bytes
from gen_models.data.samples import read_samples
from gen_models.evaluate import main
from gen_models.records import Record
from gen_models.report import main as report
from gen_models.samples import chosen_images

from .test_configs import composed

COUNT = 200
FEW = [
    "evaluation.probe=null",
    "~evaluation/measurements",
    "+evaluation.measurements={frechet:{_target_:gen_models.evaluation.FrechetDistance},"
    "copies:{_target_:gen_models.evaluation.Copies},"
    "reconstruction:{_target_:gen_models.evaluation.Reconstruction}}",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A trained run, and its own samples as another program would have written them."""
    folder = tmp_path_factory.mktemp("samples")
    words = ["checks=1", "trainer=cpu", "trainer.enable_progress_bar=false"]
    words += ["max_images=640", *FEW, f"evaluation.samples={COUNT}"]
    run(RunConfig(**composed("model=vae", *words)), folder / "run", "vae", "python run.py")
    drawn = load_run(folder / "run").sample(COUNT, torch.Generator().manual_seed(0))
    images = to_bytes(drawn).numpy()
    np.savez(folder / "bytes.npz", arr_0=images.transpose(0, 2, 3, 1), arr_1=np.zeros(COUNT))
    np.savez(folder / "floats.npz", images=drawn.numpy())
    np.save(folder / "grey.npy", images[:, 0])
    for number, image in enumerate(images):
        path = folder / "pngs" / f"part{number // 150}" / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Coloured files of equal channels, as torchvision writes grey images.
        Image.fromarray(np.repeat(image.transpose(1, 2, 0), 3, axis=2)).save(path)
    return folder


def values(folder):
    return {value.name: value for value in Record.read(folder / "record.json").values}


def scored(place, name, out, *words):
    told = ["--samples", str(place / name), "--data", "digits", "--out", str(out), *FEW, *words]
    return main(told)


@pytest.mark.parametrize("name", ["bytes.npz", "floats.npz", "grey.npy", "pngs"])
def test_a_models_samples_from_files_have_the_numbers_of_its_own_run(place, name, tmp_path, capsys):
    assert scored(place, name, tmp_path / "out", "--name", "theirs") == 0
    made, own = values(tmp_path / "out"), values(place / "run")
    assert made.keys() == own.keys()
    compared = [key for key in own if key.startswith(("fid_", "copies_"))]
    assert len(compared) >= 6
    assert [made[key] for key in compared] == [own[key] for key in compared]
    assert made["reconstruction_mse_test_360"].reason.startswith("GivenSamples has no encoder")
    # Drawn behind the measurements, from the first sample on again.
    assert (tmp_path / "out/pictures/samples.png").exists()
    assert f"Report: {tmp_path / 'out/report.html'}" in capsys.readouterr().out.replace("\n", "")


def test_they_enter_one_comparison_with_trained_runs(place, tmp_path):
    for seed in (0, 1):
        out = tmp_path / f"theirs{seed}"
        assert scored(place, "bytes.npz", out, "--name", "theirs", f"seed={seed}") == 0
    folders = [str(place / "run"), str(tmp_path)]
    assert report([*folders, "--out", str(tmp_path / "report")]) == 0
    text = (tmp_path / "report/report.md").read_text()
    assert text.count("A section of its own") == 0
    rows = csv.DictReader((tmp_path / "report/report.csv").read_text().splitlines())
    seeds = {(row["model"], row["seeds"]) for row in rows if row["name"].startswith("fid_digits64")}
    assert seeds == {("vae", "1"), ("theirs", "2")}
    assert "The runs differ" not in text
    # Nobody here knows how long theirs took, and on how many images.
    [images] = [line for line in text.splitlines() if line.startswith("| Images seen")]
    assert "none" in images
    assert "trained fastest" not in text


def test_every_layout_gives_the_same_colours(tmp_path):
    images = torch.randint(256, (5, 3, 6, 4), dtype=torch.uint8)
    last = images.permute(0, 2, 3, 1).numpy()
    np.save(tmp_path / "first.npy", images.numpy())
    np.save(tmp_path / "last.npy", last)
    np.savez(tmp_path / "floats.npz", arr_0=last / 255, arr_1=np.arange(5))
    (tmp_path / "files").mkdir()
    for number, image in enumerate(last):
        Image.fromarray(image).save(tmp_path / "files" / f"{number}.png")
    for name in ("first.npy", "last.npy", "files"):
        assert torch.equal(read_samples(tmp_path / name, (3, 6, 4)), images), name
    assert torch.equal(to_bytes(read_samples(tmp_path / "floats.npz", (3, 6, 4))), images)
    np.save(tmp_path / "grey.npy", images[:, 0].numpy())
    assert torch.equal(
        read_samples(tmp_path / "grey.npy", (3, 6, 4)), images[:, :1].expand(-1, 3, -1, -1)
    )


def test_more_than_a_run_would_draw_are_thinned_out_at_random():
    """Files are often sorted by class: the first 300 would be noughts and ones alone."""
    train, _ = Digits().load()
    images = train.images[train.labels.argsort()]
    labels = train.labels.sort().values
    picked, told = chosen_images(images, {"samples": 300, "seed": 0}, 1293)
    assert told == f"300 of {len(images)}, chosen at random"
    again, _ = chosen_images(images, {"samples": 300, "seed": 0}, 1293)
    other, _ = chosen_images(images, {"samples": 300, "seed": 1}, 1293)
    assert torch.equal(picked, again)
    assert not torch.equal(picked, other)
    rows = (images[:, None].flatten(2) == picked.flatten(1)).all(2).int().argmax(0)
    assert len(rows.unique()) == 300
    assert labels[rows].bincount(minlength=10).min() > 15
    # As many as a run of this data set would draw, where no number is given.
    assert len(chosen_images(images, {"samples": None, "seed": 0}, 200)[0]) == 200


def test_a_folder_that_holds_a_run_is_not_written_over(place, tmp_path, capsys):
    before = (place / "run/record.json").read_bytes()
    assert scored(place, "bytes.npz", place / "run") == 2
    assert "holds a run already" in capsys.readouterr().err
    assert (place / "run/record.json").read_bytes() == before


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_hidden_folders_are_no_samples_and_links_are_followed(tmp_path):
    for number, name in enumerate(["in/a/0.png", "in/.old/1.png", "out/2.png"]):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("L", (4, 4), number).save(tmp_path / name)
    (tmp_path / "in/b").symlink_to(tmp_path / "out")
    assert read_samples(tmp_path / "in", (1, 4, 4))[:, 0, 0, 0].tolist() == [0, 2]


@pytest.fixture
def bad(tmp_path):
    """Samples of every kind that cannot be measured."""
    shape = (4, 16, 16)
    arrays = {
        "larger": np.zeros((4, 3, 20, 24), np.uint8),
        "symmetric": np.linspace(-1, 1, 4 * 256).reshape(shape),
        "nan": np.full(shape, np.nan),
        "words": np.zeros(shape, np.int64),
        "flat": np.zeros((4, 256), np.uint8),
        "colour": np.arange(4 * 768).reshape(4, 16, 16, 3).astype(np.uint8),
        "one": np.zeros((1, 16, 16), np.uint8),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.savez(tmp_path / "two.npz", a=np.zeros(shape), b=np.zeros(shape))
    np.savez(tmp_path / "none.npz")
    (tmp_path / "broken.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:300])
    (tmp_path / "text.txt").write_text("")
    (tmp_path / "empty").mkdir()
    for name, size in {"small": (8, 8), "torn": (16, 16)}.items():
        (tmp_path / name).mkdir()
        Image.new("L", size).save(tmp_path / name / "0.png")
    (tmp_path / "torn/1.png").write_bytes((tmp_path / "torn/0.png").read_bytes()[:40])
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "give a folder of images, an .npz or an .npy"),
        ("nowhere.npz", "there is no such file"),
        ("text.txt", "give a folder of images"),
        ("empty", "no images in this folder; accepted are .bmp"),
        ("small", "1 images are 8 x 8, the data 16 x 16"),
        ("torn", "1.png cannot be read"),
        ("larger.npy", "4 images are 20 x 24, the data 16 x 16"),
        ("symmetric.npy", "floats run from -1 to 1; pixels are uint8, or floats in [0, 1]"),
        ("nan.npy", "image 0 is not finite"),
        ("words.npy", "values are int64; give uint8, or floats in [0, 1]"),
        ("flat.npy", "images have rank 3 or 4, this is (4, 256)"),
        ("colour.npy", "3 channels, the data have 1"),
        ("one.npy", "1 images; two are the least"),
        ("two.npz", "holds a, b; the images must be its one array"),
        ("none.npz", "holds nothing"),
        ("broken.npz", "cannot be read"),
    ],
)
def test_bad_samples_are_one_line_and_nothing_is_written(bad, name, message, capsys):
    assert scored(bad, name, bad / "out") == 2
    told = capsys.readouterr().err
    assert told.startswith("error: --samples")
    assert message in told
    assert told.count("\n") == 1
    assert not (bad / "out").exists()


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_a_pickle_among_the_arrays_is_refused_and_does_not_run(tmp_path, form, capsys):
    touched, path = tmp_path / "touched", tmp_path / f"payload.{form}"
    save = np.save if form == "npy" else np.savez
    save(path, np.array([[[Payload(touched)]]], dtype=object), allow_pickle=True)
    assert scored(tmp_path, path.name, tmp_path / "out") == 2
    path.write_bytes(pickle.dumps(Payload(touched)))
    assert scored(tmp_path, path.name, tmp_path / "out") == 2
    assert capsys.readouterr().err.count("cannot be read") == 2
    assert not touched.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--samples", "x.npy"], "--samples needs the data it is measured against: --data NAME"),
        (["--samples", "x.npy", "--data", "dgits"], "data=dgits: no such choice; did you mean"),
        (["--samples", "x.npy", "data=mnist", "model=vae"], "model=vae: --samples takes data,"),
        (["--data", "mnist", "run"], "--data, --name and --out go with --samples"),
        (["--samples", "x.npy", "data=folder"], "data.root is missing"),
        (["--samples", "x.npy", "data=digits", "evaluation.sampels=3"], "did you mean samples"),
    ],
)
def test_wrong_words_are_one_line(words, message, capsys):
    assert main(words) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_fewer_than_were_asked_for_are_refused(place, tmp_path, capsys):
    assert scored(place, "bytes.npz", tmp_path / "out", "evaluation.samples=500") == 2
    assert "200 images; evaluation.samples=500 needs more" in capsys.readouterr().err


def test_ctrl_c_speaks_of_the_samples_and_of_no_run(tmp_path, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gen_models.samples.evaluate_samples", stopped)
    assert main(["--samples", str(tmp_path), "--data", "digits"]) == 130
    assert capsys.readouterr().out == "Stopped: the samples were not measured.\n"
