"""Families: a latent-variable model and who teaches it."""

from gen_models.models.adversarial_autoencoder import AdversarialAutoencoder
from gen_models.models.autoencoder import Autoencoder
from gen_models.models.base import GenerativeModule
from gen_models.models.bidirectional import ALI, BiGAN
from gen_models.models.conditional import ConditionalVAE
from gen_models.models.conditional_gan import ConditionalGAN
from gen_models.models.factor_vae import FactorVAE
from gen_models.models.gan import GAN
from gen_models.models.info_gan import InfoGAN
from gen_models.models.latent import LatentVariableModel
from gen_models.models.phase import Phase
from gen_models.models.ppca import PPCA
from gen_models.models.two_stage import TwoStageVAE
from gen_models.models.vae import VAE
from gen_models.models.vae_gan import VAEGAN
from gen_models.models.vector_quantised import VectorQuantisedVAE

__all__ = [
    "ALI",
    "GAN",
    "PPCA",
    "VAE",
    "VAEGAN",
    "AdversarialAutoencoder",
    "Autoencoder",
    "BiGAN",
    "ConditionalGAN",
    "ConditionalVAE",
    "FactorVAE",
    "GenerativeModule",
    "InfoGAN",
    "LatentVariableModel",
    "Phase",
    "TwoStageVAE",
    "VectorQuantisedVAE",
]
