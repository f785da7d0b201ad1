"""Probabilistic PCA: its likelihood, its posterior and its optimum, each by other means."""

import math
from functools import partial

import pytest
import torch
from sklearn.decomposition import PCA
from torch.distributions import MultivariateNormal
from torch.utils.data import DataLoader, TensorDataset

from gen_models.data import Digits, LinearGaussianData
from gen_models.errors import UsageError
from gen_models.models import PPCA
from gen_models.networks import MLPGenerator

from .conftest import quiet_trainer

SHAPE, LATENTS = (1, 2, 4), 3
LINEAR = partial(MLPGenerator, hidden=())


def correlated(count=300):
    """Pixels (count, 1, 2, 4), float64, of more directions than there are latents."""
    generator = torch.Generator().manual_seed(3)
    mixing = torch.randn(8, 8, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, 8, generator=generator, dtype=torch.float64)
    return (0.5 + 0.1 * noise @ mixing).reshape(count, *SHAPE)


@pytest.fixture
def fitted(tmp_path):
    model = PPCA(shape=SHAPE, latent_dim=LATENTS, generator=LINEAR).double()
    loader = DataLoader(TensorDataset(correlated()), batch_size=100)
    quiet_trainer(tmp_path).fit(model, loader)
    return model


def covariance(model):
    weight, deviation = model.linear.weight, model.likelihood.log_deviation.exp()
    return (weight @ weight.T + deviation.square() * torch.eye(8, dtype=torch.float64)).detach()


def test_the_bound_is_the_log_likelihood_of_the_joint_normal(fitted):
    pixels = correlated(20)
    terms = fitted.elbo_terms(pixels)
    expected = MultivariateNormal(fitted.linear.bias.detach(), covariance(fitted)).log_prob(
        pixels.flatten(1)
    )
    torch.testing.assert_close(terms.log_likelihood - terms.rate, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(fitted.loss(pixels)["loss"], -expected.mean(), rtol=0, atol=1e-9)
    assert (terms.rate > 0).all()


def test_the_posterior_is_bayes_rule_wherever_it_is_asked(fitted):
    """Log p(x | z) + log p(z) - log p(z | x) is log p(x) for any z, and under any rotation of z.

    The fitted W has orthogonal columns: without a rotation the covariance is diagonal.
    """
    pixels = correlated(5)
    rotation, _ = torch.linalg.qr(torch.randn(LATENTS, LATENTS, dtype=torch.float64))
    with torch.no_grad():
        fitted.linear.weight.copy_(fitted.linear.weight @ rotation)
    posterior, terms = fitted.infer(pixels), fitted.elbo_terms(pixels)
    prior = MultivariateNormal(torch.zeros(LATENTS).double(), torch.eye(LATENTS).double())
    for z in 2 * torch.randn(4, 5, LATENTS, dtype=torch.float64):
        joint = fitted.observe(z).log_prob(pixels) + prior.log_prob(z)
        weights = joint - posterior.log_prob(z)
        torch.testing.assert_close(weights, terms.log_likelihood - terms.rate, rtol=0, atol=1e-9)


def test_it_is_scikit_learns_probabilistic_pca(fitted):
    """Its covariance is divided by N - 1, so that it is shown data that make up for it."""
    flat = correlated().flatten(1).numpy()
    mean = flat.mean(0)
    shrunk = mean + (flat - mean) * math.sqrt((len(flat) - 1) / len(flat))
    reference = PCA(n_components=LATENTS).fit(shrunk)
    held_out = correlated(400)[300:]
    scores = torch.from_numpy(reference.score_samples(held_out.flatten(1).numpy()))
    terms = fitted.elbo_terms(held_out)
    torch.testing.assert_close(terms.log_likelihood - terms.rate, scores, rtol=0, atol=1e-8)


def test_any_small_change_lowers_the_likelihood(fitted):
    x = correlated()
    best = fitted.loss(x)["loss"].item()
    for parameter in fitted.parameters():
        for _ in range(10):
            step = 1e-3 * torch.randn_like(parameter)
            for sign in (1, -1):
                with torch.no_grad():
                    parameter.add_(sign * step)
                    assert fitted.loss(x)["loss"].item() > best
                    parameter.sub_(sign * step)


def test_gradients_vanish_at_the_optimum(fitted):
    loss = fitted.loss(correlated())["loss"]
    for gradient in torch.autograd.grad(loss, list(fitted.parameters())):
        assert gradient.abs().max() < 1e-9


def test_a_run_fits_all_training_images_and_ends_after_one_iteration(tmp_path):
    data = Digits(batch_size=500)  # 1,293 images: the loader's last batch is left out
    data.setup()
    model = PPCA(shape=data.shape, latent_dim=5, generator=LINEAR, scaler=data.scaler)
    trainer = quiet_trainer(tmp_path, max_epochs=3)
    trainer.fit(model, datamodule=data)
    assert model.images_seen == len(data.train) == 1293
    assert model.iterations == trainer.global_step == 1
    mean = (data.train.images.double() / 255).mean(0).flatten()
    torch.testing.assert_close(model.linear.bias, mean.float())
    assert "validation/ppca/loss" in model.history[-1]


def test_on_a_linear_gaussian_model_it_fits_as_well_as_wilks_says(tmp_path):
    """Twice the gain in log-likelihood over the truth is chi-squared on the free parameters."""
    data = LinearGaussianData(dimension=10, latent_dim=3, count=4000, test_count=10)
    data.setup()
    model = PPCA(shape=data.shape, latent_dim=3, generator=LINEAR, scaler=data.scaler)
    quiet_trainer(tmp_path).fit(model, datamodule=data)
    pixels = data.train.images.double()
    terms = model.elbo_terms(pixels)
    gain = (terms.log_likelihood - terms.rate - data.density.log_prob(pixels)).sum().item()
    free = 10 * 3 - 3 + 10 + 1  # W but for rotations, mu, sigma
    assert abs(2 * gain - free) < 4 * math.sqrt(2 * free)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dim": 8}, "below the 8 pixels"),
        ({"generator": partial(MLPGenerator, hidden=(4,))}, "model/generator=linear"),
    ],
)
def test_what_is_no_ppca_is_refused_in_one_line(options, message):
    with pytest.raises(UsageError, match=message) as error:
        PPCA(**{"shape": SHAPE, "latent_dim": LATENTS, "generator": LINEAR, **options})
    assert "\n" not in str(error.value)


def test_images_that_leave_no_noise_are_refused(tmp_path):
    model = PPCA(shape=SHAPE, latent_dim=LATENTS, generator=LINEAR)
    loader = DataLoader(correlated(3).float(), batch_size=3)
    with pytest.raises(UsageError, match="3 training images vary in no more directions"):
        quiet_trainer(tmp_path).fit(model, loader)
