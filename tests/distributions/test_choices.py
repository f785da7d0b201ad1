"""Every prior, posterior and likelihood of the configuration is built by its choice alone."""

import pytest
import torch
from torch import nn

from gen_models.distributions.hierarchy import TwoLevels
from gen_models.recipes import build, describe

from ..conftest import REPOSITORY
from ..test_configs import composed

SHAPE = (1, 4, 4)
TOP = "model.prior.top_dim=1"


def choices(group):
    paths = sorted((REPOSITORY / "conf/model" / group).glob("*.yaml"))
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


def factory(path, *overrides):
    """The factory, by way of the plain data that a checkpoint would hold of it."""
    group = path.parent.name
    chosen = composed("model=vae", f"model/{group}={path.stem}", *overrides)["model"][group]
    return build(describe(build(chosen)))


@choices("posterior")
def test_posteriors_infer(path):
    prior = path.parent.parent / "prior/two_level.yaml"
    head = factory(path, "model/prior=two_level", TOP)(latent_dim=3)
    if hasattr(head, "bind"):
        head.bind(factory(prior, TOP)(latent_dim=3))
    posterior = head(torch.randn(5, head.features))
    z = posterior.rsample((2,))
    assert z.shape == (2, 5, 3)
    assert posterior.log_prob(z).shape == (2, 5)
    assert posterior.mean.shape == (5, 3)
    if not isinstance(posterior, TwoLevels):  # whose variance has no closed form
        assert posterior.stddev.shape == (5, 3)


@choices("prior")
def test_priors_sample(path):
    head = factory(path.parent.parent / "posterior/diagonal.yaml")(latent_dim=3)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, head.features), head)
    levels = [TOP] if path.stem == "two_level" else []
    prior = factory(path, *levels)(latent_dim=3)
    prior.bind(encoder, SHAPE)
    z = prior.sample(7, torch.Generator().manual_seed(0))
    assert z.shape == (7, 3)
    assert prior().log_prob(z).isfinite().all()
    assert prior().log_prob(z.expand(2, 7, 3)).shape == (2, 7)


@choices("likelihood")
def test_likelihoods_observe(path):
    likelihood = factory(path)()
    likelihood.bind(SHAPE)
    activation = torch.randn(5, *SHAPE)
    pixels = likelihood(activation).sample()
    likelihood.check(pixels.clamp(0, 1) if "bernoulli" in path.stem else pixels)
    assert pixels.shape == likelihood.mean(activation).shape == (5, *SHAPE)
    assert likelihood(activation).log_prob(pixels).isfinite().all()
