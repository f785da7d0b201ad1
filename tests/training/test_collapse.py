"""The watch on the posterior."""

import warnings

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from gen_models.data.ranges import Scaler
from gen_models.models import GAN, VAE
from gen_models.objectives import NegativeELBO
from gen_models.training.collapse import PosteriorCollapse
from tests.models.conftest import SHAPE, parts, quiet_trainer


@pytest.fixture
def images():
    torch.manual_seed(1)
    return DataLoader(TensorDataset(torch.rand(48, *SHAPE)), batch_size=16)


def fitted(model, images, folder, *callbacks, **options):
    callbacks = [PosteriorCollapse(), *callbacks]
    quiet_trainer(folder, callbacks=callbacks, **options).fit(model, images, images)
    return [
        row["validation/active_units"] for row in model.history if "validation/active_units" in row
    ]


def with_slope(slope, **options):
    """A VAE whose posterior means are `slope` times the first pixels, and stay so."""
    model = VAE(**{**parts(), "trunk": Slope}, objective=NegativeELBO(), **options)
    model.encoder[0].slope.fill_(slope)
    return model


class Slope(torch.nn.Module):
    def __init__(self, shape, features):
        super().__init__()
        self.count = features // 2
        self.register_buffer("slope", torch.tensor(0.0))
        self.zero = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        mean = self.slope * x.flatten(1)[:, : self.count]
        mean = mean * torch.tensor([1.0, 1.0, 1e-3])
        return torch.cat((mean, torch.zeros_like(mean)), 1) + 0 * self.zero


def test_latents_whose_means_vary_over_images_are_counted(images, tmp_path):
    """Pixels have a variance of 1/12: two latents are above 0.01, the third far below."""
    assert fitted(with_slope(1.0), images, tmp_path) == [2.0, 2.0]


def test_a_collapsed_posterior_warns_once_with_a_remedy(images, tmp_path):
    with pytest.warns(UserWarning, match="posterior collapse at 48 images.*warm_up") as told:
        assert fitted(with_slope(0.1), images, tmp_path) == [0.0, 0.0]
    assert sum("collapse" in str(warning.message) for warning in told) == 1


def test_the_variance_is_over_all_images_and_not_within_a_batch(tmp_path):
    """Each batch is constant: only between batches do the means differ."""
    levels = torch.linspace(0, 1, 3).repeat_interleave(16).view(-1, 1, 1, 1).expand(-1, *SHAPE)
    loader = DataLoader(TensorDataset(levels.contiguous()), batch_size=16)
    assert fitted(with_slope(1.0), loader, tmp_path) == [2.0, 2.0]


def test_the_model_is_asked_about_pixels_however_it_scales_them(images, tmp_path):
    """Scaled once, the third mean has a variance of 0.003; scaled twice, of 0.05."""
    model = with_slope(200.0, scaler=Scaler([0.0], [0.25]))
    assert fitted(model, images, tmp_path) == [2.0, 2.0]


class Flatten(pl.Callback):
    """Ends what the posterior says, after the first epoch."""

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 1:
            module.encoder[0].slope.fill_(0.0)


def test_each_validation_counts_anew(images, tmp_path):
    with pytest.warns(UserWarning, match="posterior collapse at 96 images: none of 3 latents"):
        assert fitted(with_slope(1.0), images, tmp_path, Flatten()) == [2.0, 0.0]


def test_the_sanity_check_is_not_counted(images, tmp_path):
    assert fitted(with_slope(1.0), images, tmp_path, num_sanity_val_steps=2) == [2.0, 2.0]


def test_a_run_that_has_diverged_is_not_told_of_collapse_too(images, tmp_path):
    model = with_slope(0.1)
    model.diverged = "train/vae/loss was not finite at 16 images"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert fitted(model, images, tmp_path) == [0.0, 0.0]


def test_a_model_without_posterior_is_left_alone(images, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert fitted(GAN(**parts()), images, tmp_path) == []


def test_who_infers_by_a_game_pays_no_rate_and_gets_no_advice_on_it(images, tmp_path):
    """As ALI does, whose encoder knows nothing at its first validation."""
    model = GAN(**parts())
    model.infer = lambda pixels: torch.distributions.Normal(torch.zeros(len(pixels), 2), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert fitted(model, images, tmp_path, max_epochs=2) == [0.0, 0.0]
    assert model.events == []
