"""The VQ-VAE: its loss, the straight-through gradient, and phases that keep to themselves."""

import copy
from functools import partial

import pytest
import torch

from gen_models.capabilities import BoundsLikelihood, Infers, Observes
from gen_models.data import Digits
from gen_models.distributions import StandardNormal, TokenPrior
from gen_models.errors import UsageError
from gen_models.models import VectorQuantisedVAE
from gen_models.models.vector_quantised import perplexity, straight_through
from gen_models.networks import CausalGRU

from .conftest import SHAPE, parts


def quantised(**options):
    torch.manual_seed(0)
    network = partial(CausalGRU, width=8)
    prior = partial(TokenPrior, network=network, codes=5, token_dim=2)
    return VectorQuantisedVAE(**{**parts(), "latent_dim": 6, "prior": prior, **options})


def test_the_loss_is_squared_error_and_commitment():
    model, x = quantised(commitment=0.5).eval(), torch.rand(6, *SHAPE)
    z = model.encoder(x).unflatten(1, (3, 2))
    e = model.prior.codebook(z).vectors
    made = torch.sigmoid(2 * model.generator(e.flatten(1)))
    error, distance = (made - x).square().sum() / 6, (z - e).square().sum() / 6
    values = model.loss(x)
    torch.testing.assert_close(values["loss"], error + 0.5 * distance)
    torch.testing.assert_close(values["error"], error)


def test_the_gradient_of_the_vectors_is_handed_to_the_latents():
    z = torch.randn(4, 3, 2, requires_grad=True)
    e = torch.randn(4, 3, 2)
    out = straight_through(z, e)
    torch.testing.assert_close(out.detach(), e)
    weight = torch.randn(4, 3, 2)
    (gradient,) = torch.autograd.grad((weight * out.square()).sum(), z)
    torch.testing.assert_close(gradient, 2 * weight * e)


def test_the_encoder_hears_of_the_error_through_the_codebook():
    model, x = quantised(commitment=0.0), torch.rand(6, *SHAPE)
    model.loss(x)["loss"].backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.encoder.parameters())


@pytest.mark.parametrize(("tokens", "expected"), [([3, 3, 3, 3], 1), ([0, 1, 2, 3], 4)])
def test_perplexity_is_the_number_of_codes_in_equal_use(tokens, expected):
    assert perplexity(torch.tensor(tokens), 4).item() == pytest.approx(expected)


def test_perplexity_lies_between_one_and_the_number_of_codes():
    for _ in range(20):
        assert 1 <= perplexity(torch.randint(7, (5, 3)), 7) <= 7


def test_the_codebook_follows_in_training_alone():
    model, x = quantised(), torch.rand(6, *SHAPE)
    before = model.prior.codebook.vectors.clone()
    model.eval().loss(x)
    assert torch.equal(before, model.prior.codebook.vectors)
    model.train().loss(x)
    assert not torch.equal(before, model.prior.codebook.vectors)


def test_learning_the_tokens_moves_nothing_else(trainer, images):
    model = quantised()
    _, tokens = model.phases()
    model.phases = lambda: [tokens]
    before = copy.deepcopy(model.state_dict())
    trainer().fit(model, images)
    moved = {
        key for key, value in model.state_dict().items() if not torch.equal(value, before[key])
    }
    assert moved
    assert all(key.startswith("prior.network.") for key in moved)


def test_samples_go_from_tokens_to_images_and_reconstructions_through_the_codebook():
    model, pixels = quantised().eval(), torch.rand(4, *SHAPE)
    z = model.prior.sample(4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.sample(4, torch.Generator().manual_seed(0)), model.decode(z))
    e = model.quantise(pixels).vectors.flatten(1)
    torch.testing.assert_close(model.reconstruct(pixels), model.decode(e))
    assert model.prior().support.check(e).all()


def test_no_likelihood_is_claimed():
    assert not any(isinstance(quantised(), kind) for kind in (BoundsLikelihood, Infers, Observes))


def test_a_resumed_run_ends_where_the_whole_one_does(trainer, tmp_path):
    data = Digits(batch_size=50, limit=100)
    data.setup()
    ends = []
    for legs in ((2,), (1, 2)):
        torch.manual_seed(5)
        checkpoint = None
        for epochs in legs:
            model = quantised(shape=data.shape)
            model.prior.codebook.least = 1e9  # all vectors start anew, at random
            fit = trainer(max_epochs=epochs)
            fit.fit(model, datamodule=data, ckpt_path=checkpoint)
            checkpoint = tmp_path / "a.ckpt"
            fit.save_checkpoint(checkpoint)
        ends.append(model.state_dict())
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"prior": StandardNormal}, "TokenPrior"), ({"commitment": -1.0}, "commitment")],
)
def test_what_is_no_vq_vae_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        quantised(**options)
