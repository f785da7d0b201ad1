r"""Priors p(z), posterior heads q(z | x), likelihoods p(x | z): modules that give distributions.

A prior is called with nothing, a head with the features of a trunk, a likelihood with the
generator's pre-activations; each answers with a `torch.distributions.Distribution`, so that
densities, samples and divergences are torch's own.

One generator serves every likelihood and the GAN alike: with pre-activation a,
$(\tanh a + 1)/2 = \mathrm{sigmoid}(2a)$, so that a is the pixel's mean on [0, 1], or half its
logit. A likelihood with more to say than one mean a pixel holds those parameters itself.

Likelihoods are densities of *pixels in [0, 1]*, whatever scaling the networks see, so that nats
mean the same under every scaling. Arguments are not validated by torch: its checks wait for the
device in every step. All is computed in float32 at least, under autocast too.
"""

from gen_models.distributions.bernoulli import Bernoulli, ContinuousBernoulli
from gen_models.distributions.discretised import DiscretisedLogistic, DiscretisedLogisticMixture
from gen_models.distributions.fitted import FittedMixture
from gen_models.distributions.labelled import LabelledPrior
from gen_models.distributions.likelihoods import (
    Gaussian,
    GaussianPerPixel,
    Laplace,
    Likelihood,
    pixel_mean,
)
from gen_models.distributions.mixtures import GaussianMixture, VampPrior
from gen_models.distributions.normal import look_up_divergence
from gen_models.distributions.posteriors import DiagonalGaussian, FlowPosterior, FullCovariance
from gen_models.distributions.priors import FlowPrior, Prior, StandardNormal
from gen_models.distributions.tokens import TokenPrior
from gen_models.distributions.two_level import BottomUp, Ladder, TwoLevelPrior

__all__ = [
    "Bernoulli",
    "BottomUp",
    "ContinuousBernoulli",
    "DiagonalGaussian",
    "DiscretisedLogistic",
    "DiscretisedLogisticMixture",
    "FittedMixture",
    "FlowPosterior",
    "FlowPrior",
    "FullCovariance",
    "Gaussian",
    "GaussianMixture",
    "GaussianPerPixel",
    "LabelledPrior",
    "Ladder",
    "Laplace",
    "Likelihood",
    "Prior",
    "StandardNormal",
    "TokenPrior",
    "TwoLevelPrior",
    "VampPrior",
    "pixel_mean",
]

look_up_divergence()
