"""Families: a latent-variable model and who teaches it."""

from gen_models.models.base import GenerativeModule
from gen_models.models.gan import GAN
from gen_models.models.latent import LatentVariableModel
from gen_models.models.phase import Phase
from gen_models.models.vae import VAE

__all__ = ["GAN", "VAE", "GenerativeModule", "LatentVariableModel", "Phase"]
