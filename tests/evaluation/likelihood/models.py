"""Models whose log p(x) is known, or can be had by other means."""

import torch
from torch import nn
from torch.distributions import Independent, Normal

from gen_models.evaluation.likelihood import Joint, LinearGaussian, gaussian_observation


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear(latent_dim=5, pixels=20, variance=0.1, scale=0.5, seed=34):
    """By default a diagonal posterior at its best falls short by .3208 nats."""
    generator = seeded(seed)
    weight = torch.randn(pixels, latent_dim, generator=generator, dtype=torch.float64)
    bias = torch.randn(pixels, generator=generator, dtype=torch.float64)
    return LinearGaussian(scale * weight, bias, variance**0.5)


def precision(model):
    """Of the posterior, (D, D)."""
    unit = torch.eye(model.weight.shape[1], dtype=torch.float64)
    return unit + model.weight.T @ model.weight / model.deviation**2


def diagonal(model, x):
    """The best diagonal posterior: the true mean, the precisions' diagonal."""
    deviation = precision(model).diagonal().rsqrt()
    mean = model.posterior(x).mean
    return Independent(Normal(mean, deviation.expand_as(mean)), 1)


def curved(deviation=0.15):
    """Two latents through a small random network to images of 1 x 3 x 4, float32."""
    torch.manual_seed(3)
    decode = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 12), nn.Sigmoid())
    for parameter in decode.parameters():
        parameter.data *= 2
    decode.append(nn.Unflatten(1, (1, 3, 4)))
    unit = Normal(torch.zeros(2), torch.ones(2), validate_args=False)
    prior = Independent(unit, 1, validate_args=False)
    return Joint(prior, gaussian_observation(decode, deviation))


def within(differences, errors=3.0):
    """Whether a mean is 0 up to so many standard errors."""
    return abs(differences.mean()) < errors * differences.std() / len(differences) ** 0.5


def not_above(differences, errors=3.0):
    """Whether a mean is at most 0, up to so many standard errors."""
    return differences.mean() < errors * differences.std() / len(differences) ** 0.5
