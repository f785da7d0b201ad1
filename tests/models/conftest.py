"""Small models on small data, and a quiet trainer."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from gen_models.models import GAN, VAE
from gen_models.networks import ConvGenerator, MLPTrunk

SHAPE = (1, 8, 8)
ADAM = partial(torch.optim.Adam, lr=1e-3)


def quiet_trainer(folder, **options):
    return pl.Trainer(
        **{
            "default_root_dir": folder,
            "accelerator": "cpu",
            "max_epochs": 2,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            **options,
        }
    )


@pytest.fixture
def trainer(tmp_path):
    return partial(quiet_trainer, tmp_path)


@pytest.fixture
def images():
    torch.manual_seed(1)
    return DataLoader(TensorDataset(torch.rand(48, *SHAPE)), batch_size=16)


def parts():
    return {
        "shape": SHAPE,
        "latent_dim": 3,
        "generator": partial(ConvGenerator, width=4),
        "trunk": partial(MLPTrunk, hidden=(16,)),
        "optimizer": ADAM,
    }


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return VAE(**parts())


@pytest.fixture
def gan():
    torch.manual_seed(0)
    return GAN(**parts(), ema_half_life=20)
