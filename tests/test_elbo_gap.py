"""A linear VAE trained by the project's own run, against probabilistic PCA: `pytest -m slow`."""

import pytest
import torch

from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.evaluation.likelihood import Joint, LinearGaussian
from gen_models.evaluation.likelihood.exact import linear_gaussian
from gen_models.models import VAE
from gen_models.models.ppca import maximum_likelihood
from gen_models.recipes import build
from gen_models.records import Record
from gen_models.training.elbo_gap import CURVES, elbo_gap

from .test_configs import composed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["full_covariance", "diagonal"])
def trained(request, tmp_path_factory):
    """The posterior's name, the model, the record, and pixels of all training images."""
    folder = tmp_path_factory.mktemp("elbo") / "run"
    config = composed(
        "experiment=elbo_gap",
        f"model/posterior={request.param}",
        "evaluate=false",
        "checks=6",
        "trainer.enable_progress_bar=false",
    )
    run(RunConfig(**config), folder, "vae", "")
    data = build(config["data"])
    data.setup()
    model = VAE.load_from_checkpoint(folder / "checkpoints/last.ckpt", map_location="cpu").eval()
    return request.param, model, Record.read(folder / "record.json"), data.train.images


def test_it_reaches_the_maximum_of_the_likelihood(trained):
    _, model, _, pixels = trained
    flat = pixels.flatten(1).double()
    weight, variance = maximum_likelihood(flat.T.cov(correction=0), model.latent_dim)
    best = LinearGaussian(weight, flat.mean(0), variance.item() ** 0.5)
    optimum = best.evidence.log_prob(flat).mean().item()
    with torch.no_grad():
        reached = linear_gaussian(Joint(model.prior(), model.observe)).evidence.log_prob(flat)
    assert optimum - 1e-3 < reached.mean().item() <= optimum


def test_the_bound_lacks_what_the_posterior_cannot_be(trained):
    """Nothing with full covariance; a diagonal one the distance of the precision from diagonal."""
    name, model, _, pixels = trained
    with torch.no_grad():
        log_p, elbo, divergence, total = elbo_gap(model, pixels, draws=1)
        known = linear_gaussian(Joint(model.prior(), model.observe))
    assert total == pytest.approx(log_p, abs=1e-5)
    precision = torch.eye(model.latent_dim) + known.weight.T @ known.weight / known.deviation**2
    theory = (precision.diagonal().log().sum() - precision.logdet()).item() / 2
    lacking = theory if name == "diagonal" else 0.0
    assert divergence == pytest.approx(lacking, abs=1e-3)
    assert elbo == pytest.approx(log_p - lacking, abs=1e-3)


def test_three_curves_add_up_at_every_check(trained):
    curves = {curve.name: curve.values for curve in trained[2].curves}
    log_p, elbo, divergence, total = (curves[f"{name}/identity_nats"] for name in CURVES)
    assert len(log_p) == 6
    assert total == pytest.approx(log_p, abs=1e-4)
    assert all(value > 0 for value in divergence)
    assert elbo[0] < elbo[-1]
