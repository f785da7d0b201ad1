"""Networks in two roles, tensors to tensors.

A *generator* maps latents (B, D) to pre-activations (B, C, H, W); a *trunk* maps images (B, C, H,
W) to features (B, F). With F = 2D a trunk is a Gaussian encoder, with F = 1 a discriminator.
"""

from gen_models.networks.autoencoding import AutoencodingTrunk
from gen_models.networks.causal import CausalGRU
from gen_models.networks.conv import ConvGenerator, ConvTrunk
from gen_models.networks.joint import JointTrunk
from gen_models.networks.mlp import MLPGenerator, MLPTrunk
from gen_models.networks.r3 import R3Generator, R3Trunk
from gen_models.networks.resnet import ResNetGenerator, ResNetTrunk

__all__ = [
    "AutoencodingTrunk",
    "CausalGRU",
    "ConvGenerator",
    "ConvTrunk",
    "JointTrunk",
    "MLPGenerator",
    "MLPTrunk",
    "R3Generator",
    "R3Trunk",
    "ResNetGenerator",
    "ResNetTrunk",
]
