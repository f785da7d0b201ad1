"""Budget, selection, grids and progress."""

from functools import partial

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from gen_models.models import GAN, VAE
from gen_models.training.callbacks import (
    ImageBudget,
    ImageProgress,
    SampleGrid,
    Selection,
    losses,
)
from tests.models.conftest import SHAPE, parts, quiet_trainer


@pytest.fixture
def images():
    return DataLoader(TensorDataset(torch.rand(48, *SHAPE)), batch_size=16)


@pytest.mark.parametrize("kind", [VAE, GAN])
@pytest.mark.parametrize(("budget", "seen"), [(100, 112), (96, 96), (1, 16)])
def test_the_budget_ends_training_within_a_batch(kind, budget, seen, images, tmp_path):
    model = kind(**parts())
    quiet_trainer(tmp_path, max_epochs=-1, callbacks=[ImageBudget(budget)]).fit(model, images)
    assert model.images_seen == seen


def test_the_best_checkpoint_is_chosen_by_the_score_and_last_is_kept_apart(images, tmp_path):
    scores = iter([3.0, 1.0, 2.0])
    save = partial(ModelCheckpoint, dirpath=tmp_path, enable_version_counter=False)
    trainer = quiet_trainer(
        tmp_path,
        max_epochs=3,
        enable_checkpointing=True,
        callbacks=[
            Selection("validation/score", lambda model: next(scores)),
            save(filename="best", monitor="validation/score"),
            save(filename="last"),
        ],
    )
    model = VAE(**parts())
    trainer.fit(model, images, images)
    seen = {
        name: torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["images_seen"]
        for name in ("best", "last")
    }
    assert seen == {"best": 96, "last": 144}
    logged = [row["validation/score"] for row in model.history if "validation/score" in row]
    assert logged == [3.0, 1.0, 2.0]


def test_grids_are_named_by_images_seen(images, tmp_path):
    def draw(model, path):
        path.write_bytes(b"")

    trainer = quiet_trainer(tmp_path, callbacks=[SampleGrid(tmp_path / "progress", draw)])
    trainer.fit(VAE(**parts()), images, images)
    names = [path.name for path in sorted((tmp_path / "progress").iterdir())]
    assert names == ["000000048.png", "000000096.png"]


def test_progress_off_a_terminal_is_a_line_now_and_then(images, tmp_path, capsys):
    bar = ImageProgress(96, seconds=0.0)
    trainer = quiet_trainer(tmp_path, enable_progress_bar=True, callbacks=[bar])
    trainer.fit(VAE(**parts()), images)
    lines = [x for x in capsys.readouterr().out.splitlines() if "images" in x]
    assert lines[0].startswith("16 of 96 images  vae loss")
    assert lines[-1].startswith("96 of 96 images")


def test_losses_are_named_by_phase():
    gan = GAN(**parts())
    gan.history = [
        {"images": 5.0, "train/discriminator/loss": 1.5, "train/generator/loss": 0.25},
        {"images": 9.0, "validation/score": 1.0},
    ]
    assert losses(gan) == "discriminator loss 1.5  generator loss 0.25"
    gan.history = []
    assert losses(gan) == ""
