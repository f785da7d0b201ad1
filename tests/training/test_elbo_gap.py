"""log p(x) = ELBO + KL(q || p(z|x)), each side had in its own way."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import MultivariateNormal
from torch.utils.data import DataLoader

from gen_models.data.linear_gaussian import LinearGaussianData
from gen_models.distributions import DiagonalGaussian, FlowPosterior, FullCovariance, Gaussian
from gen_models.errors import UsageError
from gen_models.models import GAN, VAE
from gen_models.networks import MLPGenerator, MLPTrunk
from gen_models.training.elbo_gap import CURVES, ElboGap, elbo_gap
from tests.models.conftest import parts, quiet_trainer

SHAPE = (1, 1, 6)


def vae(posterior, hidden=(), latents=2, link="identity"):
    torch.manual_seed(0)
    return VAE(
        shape=SHAPE,
        latent_dim=latents,
        generator=partial(MLPGenerator, hidden=hidden),
        trunk=partial(MLPTrunk, hidden=(8,)),
        posterior=posterior,
        likelihood=partial(Gaussian, deviation=0.3, link=link),
        optimizer=partial(torch.optim.Adam, lr=1e-2),
    )


def gap(model, draws=64, images=20):
    model.eval()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        return elbo_gap(model, torch.rand(images, *SHAPE, generator=generator), draws)


@pytest.mark.parametrize("posterior", [DiagonalGaussian, FullCovariance])
def test_three_closed_forms_of_a_linear_model_add_up(posterior):
    """Five latents, where there is no quadrature; closed forms of float32 parameters."""
    log_p, elbo, divergence, total = gap(vae(posterior, latents=5))
    assert divergence > 0.01
    assert total == elbo + divergence
    assert total == pytest.approx(log_p, abs=1e-5)


@pytest.mark.parametrize(
    "posterior", [DiagonalGaussian, FullCovariance, partial(FlowPosterior, kind="planar")]
)
def test_draws_and_quadrature_of_a_bent_model_add_up(posterior):
    model = vae(posterior, hidden=(8,), link="sigmoid")
    log_p, elbo, divergence, total = gap(model, 20_000)
    assert divergence > 0.01
    assert elbo < log_p
    assert total == pytest.approx(log_p, abs=0.01)
    few = gap(model, draws=2)
    assert abs(few[3] - few[0]) > 1e-4, "the sum is a definition, where both have the same draws"


def test_draws_are_the_same_each_time_and_leave_training_where_it_was():
    model = vae(DiagonalGaussian, hidden=(8,), link="sigmoid")
    state = torch.get_rng_state()
    assert gap(model, draws=3) == gap(model, draws=3)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_callback_measures_pixels_of_the_first_images_in_evaluation_mode():
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (30, *SHAPE), generator=generator, dtype=torch.uint8)
    data = SimpleNamespace(validation=SimpleNamespace(images=images))
    model, modes = vae(FullCovariance).train(), []
    model.generator.register_forward_hook(lambda module, *_: modes.append(module.training))
    ElboGap(images=10).on_validation_end(
        SimpleNamespace(sanity_checking=False, datamodule=data), model
    )
    seen = list(modes)
    with torch.no_grad():
        bias = model.likelihood(model.generator(torch.zeros(1, 2))).mean.flatten()
        weight = model.likelihood(model.generator(torch.eye(2))).mean.flatten(1).T - bias[:, None]
    covariance = weight @ weight.T + 0.3**2 * torch.eye(6)
    known = MultivariateNormal(bias, covariance).log_prob(images[:10].flatten(1) / 255)
    [row] = model.history
    assert row[f"{CURVES[0]}/identity_nats"] == pytest.approx(known.mean().item(), abs=1e-4)
    assert seen
    assert not any(seen)
    assert model.training


def test_the_callback_writes_four_curves_at_each_validation(tmp_path):
    data = LinearGaussianData(
        dimension=6, latent_dim=2, count=50, test_count=10, validation=0.2, batch_size=20
    )
    model = vae(FullCovariance)
    trainer = quiet_trainer(
        tmp_path, max_epochs=2, num_sanity_val_steps=1, callbacks=[ElboGap(images=10)]
    )
    trainer.fit(model, datamodule=data)
    rows = [row for row in model.history if f"{CURVES[0]}/identity_nats" in row]
    assert [row["images"] for row in rows] == [40, 80]
    for row in rows:
        log_p, elbo, divergence, total = (row[f"{name}/identity_nats"] for name in CURVES)
        assert total == pytest.approx(log_p, abs=1e-5)
        assert elbo + divergence == total
    assert rows[0] != rows[1]


def test_a_model_without_a_bound_is_refused(tmp_path):
    loader = DataLoader(torch.rand(40, 1, 8, 8), batch_size=20)
    with pytest.raises(UsageError, match="GAN has no posterior"):
        quiet_trainer(tmp_path, callbacks=[ElboGap()]).fit(GAN(**parts()), loader)


def test_many_latents_and_a_bent_decoder_are_refused():
    with pytest.raises(UsageError, match="annealed importance sampling"):
        gap(vae(DiagonalGaussian, hidden=(8,), latents=3))
