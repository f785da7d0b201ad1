"""Adversarial autoencoders: the game between two Gaussians in closed form, and its turns."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Normal
from torch.nn.functional import softplus

from gen_models.distributions import FittedMixture
from gen_models.errors import UsageError
from gen_models.models import AdversarialAutoencoder
from gen_models.networks import MLPGenerator, MLPTrunk
from gen_models.objectives import LeastSquares, Minimax, NegativeELBO, NonSaturating, Relativistic

from .conftest import ADAM, SHAPE, parts

PRIOR, ENCODED = Normal(0.0, 1.0), Normal(1.5, 0.5)
GRID = torch.linspace(-9, 9, 200_001)


def autoencoder(**options):
    torch.manual_seed(0)
    own = {"discriminator": partial(MLPTrunk, hidden=(16,)), "discriminator_optimizer": ADAM}
    return AdversarialAutoencoder(**{**parts(), **own, **options})


def gaussian(**options):
    """Pixels that are N(0, 1) have latents N(1.5, 0.5^2): E is linear."""
    one = {"shape": (1, 1, 1), "latent_dim": 1, "generator": MLPGenerator}
    model = autoencoder(**one, trunk=partial(MLPTrunk, hidden=()), **options)
    with torch.no_grad():
        model.encoder.layers[0].weight.fill_(0.5)
        model.encoder.layers[0].bias.fill_(1.5)
    return model


class LogRatio(nn.Module):
    """The optimal discriminator, log p(z) - log q(z)."""

    def forward(self, z):
        return (PRIOR.log_prob(z) - ENCODED.log_prob(z)).flatten(1)


def expected(values, density):
    return torch.trapezoid(values * density.log_prob(GRID).exp(), GRID).item()


@pytest.mark.parametrize(
    ("game", "side"),
    [(NonSaturating(), lambda r: softplus(-r)), (Minimax(), lambda r: -softplus(r))],
)
def test_value_and_gradient_at_the_optimal_discriminator_are_those_of_the_log_ratio(game, side):
    """By quadrature: E_q g(log p/q), and its slope in the encoder's mean, D held still."""
    model = gaussian(adversarial=game, adversarial_weight=2.0, joint=False)
    model.discriminator = LogRatio()
    x = torch.randn(400_000, 1, 1, 1)
    values = model.encoder_loss(x)
    ratio = PRIOR.log_prob(GRID) - ENCODED.log_prob(GRID)
    assert values["loss"].item() == pytest.approx(2 * expected(side(ratio), ENCODED), rel=0.01)
    [slope] = torch.autograd.grad(values["loss"], model.encoder.layers[0].bias)
    [known] = torch.gradient(side(ratio), spacing=(GRID,))
    assert slope.item() == pytest.approx(2 * expected(known, ENCODED), rel=0.01)


def test_the_discriminators_loss_at_its_optimum_is_2_log_2_minus_twice_the_divergence():
    model = gaussian()
    model.discriminator = LogRatio()
    log_p, log_q = PRIOR.log_prob(GRID), ENCODED.log_prob(GRID)
    mixture = torch.logaddexp(log_p, log_q) - math.log(2)
    divergence = (expected(log_p - mixture, PRIOR) + expected(log_q - mixture, ENCODED)) / 2
    values = model.discriminator_loss(torch.randn(400_000, 1, 1, 1))
    assert values["loss"].item() == pytest.approx(2 * math.log(2) - 2 * divergence, rel=0.01)
    assert values["real_logit"].item() == pytest.approx(expected(log_p - log_q, PRIOR), rel=0.01)
    assert values["fake_logit"].item() == pytest.approx(expected(log_p - log_q, ENCODED), rel=0.01)


class Quadratic(nn.Module):
    """A discriminator that sees first and second moments, and no others."""

    def __init__(self, shape, features):
        super().__init__()
        self.linear = nn.Linear(shape[0] + shape[0] ** 2, features)
        nn.init.zeros_(self.linear.weight)

    def forward(self, z):
        z = z.flatten(1)
        return self.linear(torch.cat([z, (z[:, :, None] * z[:, None]).flatten(1)], dim=1))


@pytest.mark.parametrize("joint", [True, False])
def test_the_aggregated_posterior_of_a_linear_encoder_moves_to_the_prior(joint):
    """Images are Gaussian on a plane; least squares damp the game, which would circle else."""
    fast = partial(torch.optim.Adam, lr=0.02, betas=(0.0, 0.9))
    model = autoencoder(
        shape=(1, 2, 2),
        latent_dim=2,
        generator=partial(MLPGenerator, hidden=(32,)),
        trunk=partial(MLPTrunk, hidden=()),
        discriminator=Quadratic,
        adversarial=LeastSquares(),
        optimizer=fast,
        discriminator_optimizer=fast,
        joint=joint,
    )
    basis = torch.tensor([[1.0, 0.5, 0.0, -1.0], [0.0, 1.0, -1.0, 0.5]])
    x = (0.5 + 0.25 * (torch.randn(4096, 2) @ basis)).unflatten(1, (1, 2, 2))
    nn.init.constant_(model.encoder.layers[0].bias, 1.5)
    turns = [(phase, phase.optimizer(phase.parameters)) for phase in model.phases()]
    before = distance(model, x)
    for _ in range(300):
        batch = x[torch.randint(len(x), (128,))]
        for phase, optimizer in turns:
            optimizer.zero_grad()
            phase.loss(batch)["loss"].backward(inputs=list(phase.parameters))
            optimizer.step()
    assert before > 1.5
    assert distance(model, x) < 0.4
    assert (model.reconstruct(x) - x).square().mean() < 0.1 * x.var(0).mean()


@torch.no_grad()
def distance(model, x):
    """The largest distance of mean and covariance from those of N(0, I)."""
    z = model.encoder(x)
    return max(z.mean(0).abs().max(), (z.T.cov() - torch.eye(z.shape[1])).abs().max()).item()


def test_jointly_the_game_is_added_to_half_the_squared_error():
    model = autoencoder(adversarial_weight=5.0).eval()
    x = torch.rand(8, *SHAPE)
    z = model.encoder(x)
    error = (model.decode(z) - x).square().sum((1, 2, 3)).mean() / 2
    game = softplus(-model.discriminator(z[..., None, None])).mean()
    values = model.loss(x)
    torch.testing.assert_close(values["loss"], error + 5 * game)
    torch.testing.assert_close(values["adversarial"], 5 * game)
    apart = autoencoder(joint=False).eval()
    assert apart.loss(x).keys() == {"loss", "error"}


@pytest.mark.parametrize(
    ("joint", "turns"),
    [
        (True, {"discriminator": "d", "autoencoder": "eg"}),
        (False, {"autoencoder": "eg", "discriminator": "d", "encoder": "e"}),
    ],
)
def test_turns_come_in_the_papers_order_and_move_their_own_parameters(joint, turns):
    model = autoencoder(joint=joint, adversarial=Relativistic())
    modules = {"d": model.discriminator, "e": model.encoder, "g": model.generator}
    assert [phase.name for phase in model.phases()] == list(turns)
    for phase in model.phases():
        own = {id(p) for letter in turns[phase.name] for p in modules[letter].parameters()}
        assert {id(p) for p in phase.parameters} == own
        model.zero_grad(set_to_none=True)
        phase.loss(torch.rand(8, *SHAPE))["loss"].backward(inputs=list(phase.parameters))
        assert {id(p) for p in model.parameters() if p.grad is not None} == own


def test_spectral_norm_rests_in_the_encoders_turn():
    spectral = partial(MLPTrunk, hidden=(16,), spectral=True)
    model = autoencoder(joint=False, discriminator=spectral)
    moved = []
    for phase in model.phases():
        before = copy.deepcopy(model.discriminator.state_dict())
        phase.loss(torch.rand(8, *SHAPE))
        after = model.discriminator.state_dict()
        moved.append(any(not torch.equal(v, after[k]) for k, v in before.items()))
    assert moved == [False, True, False]


@pytest.mark.parametrize("joint", [True, False])
def test_a_copy_plays_its_own_game_and_a_checkpoint_is_loaded(joint, trainer, images, tmp_path):
    model = autoencoder(joint=joint, adversarial_weight=3.0)
    fit = trainer(max_epochs=1)
    fit.fit(model, images, images)
    fit.save_checkpoint(tmp_path / "a.ckpt")
    loaded = AdversarialAutoencoder.load_from_checkpoint(tmp_path / "a.ckpt")
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())
    assert len(loaded.phases()) == len(model.phases())
    blind = copy.deepcopy(loaded).eval()
    nn.init.zeros_(blind.discriminator.layers[-1].weight)
    nn.init.zeros_(blind.discriminator.layers[-1].bias)
    known = 3 * math.log(2)
    x = torch.rand(8, *SHAPE)
    found = blind.loss(x)["adversarial"] if joint else blind.encoder_loss(x)["loss"]
    assert found.item() == pytest.approx(known)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"adversarial_weight": -1.0}, r"model\.adversarial_weight"),
        ({"prior": partial(FittedMixture, components=2)}, "FittedMixture follows the latents"),
        ({"adversarial": NegativeELBO()}, "model.adversarial=NegativeELBO"),
    ],
)
def test_mistakes_are_told_in_one_line(options, names):
    with pytest.raises(UsageError, match=names) as error:
        autoencoder(**options)
    assert "\n" not in str(error.value)
