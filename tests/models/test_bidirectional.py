"""BiGAN and ALI: pairs of known laws, both sides of each game, and an encoder that inverts."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal
from torch.nn.functional import softplus

from gen_models.errors import UsageError
from gen_models.models import ALI, BiGAN
from gen_models.models.bidirectional import beside, mirror
from gen_models.networks import JointTrunk, MLPGenerator, MLPTrunk
from gen_models.objectives import (
    R1,
    BoundaryEquilibrium,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    Wasserstein,
)

from .conftest import SHAPE, parts

LINEAR = partial(MLPTrunk, hidden=())
SIDES = [
    (NonSaturating(), lambda real, fake: softplus(-fake) + softplus(real)),
    (Minimax(), lambda real, fake: -softplus(fake) - softplus(-real)),
    (LeastSquares(), lambda real, fake: (fake - 1).square() / 2 + real.square() / 2),
    (Hinge(), lambda real, fake: real - fake),
    (Wasserstein(), lambda real, fake: real - fake),
    (Relativistic(), lambda real, fake: softplus(real - fake)),
]


class Quadratic(nn.Module):
    """A discriminator of points (x, z) that sees first and second moments, and no others."""

    def __init__(self, shape, latent_dim, features, trunk):
        super().__init__()
        self.linear = nn.Linear(5, features)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x, z):
        x = x.flatten(1)
        return self.linear(torch.cat([x, z, x**2, x * z, z**2], dim=1))


class Noisy(nn.Module):
    """x | z ~ N(1.5 z, 0.8^2), without a parameter to be trained."""

    def __init__(self, latent_dim, shape):
        super().__init__()

    def forward(self, z):
        return (1.5 * z + 0.8 * torch.randn_like(z))[..., None, None]


def bigan(kind=BiGAN, **options):
    torch.manual_seed(0)
    small = partial(JointTrunk, image_features=8, hidden=(16,))
    encoder = partial(MLPTrunk, hidden=(16,))
    return kind(**{**parts(), "encoder": encoder, "joint": small, **options})


def points(kind=BiGAN, generator=Noisy, **options):
    """A model of single pixels that are the generator's output as it is."""
    one = {"shape": (1, 1, 1), "latent_dim": 1, "generator": generator, "encoder": LINEAR}
    model = bigan(kind, **one, joint=Quadratic, **options)
    model.pixels = lambda activation: activation
    return model


def gaussian_pairs(slope):
    """ALI of a linear-Gaussian model with q(z | x) = N(slope x, t^2), t that of the posterior.

    Returns:
        The model, real x (N, 1, 1, 1), and the laws of its real and its generated pairs.
    """
    variance, deviation = 1.5**2 + 0.8**2, 0.8 / math.hypot(1.5, 0.8)
    model = points(ALI)
    with torch.no_grad():
        model.encoder[0].layers[0].weight.copy_(torch.tensor([[slope], [0.0]]))
        model.encoder[0].layers[0].bias.copy_(torch.tensor([0.0, math.log(math.expm1(deviation))]))
    known = [[variance, slope * variance], [slope * variance, slope**2 * variance + deviation**2]]
    real = MultivariateNormal(torch.zeros(2), torch.tensor(known))
    fake = MultivariateNormal(torch.zeros(2), torch.tensor([[variance, 1.5], [1.5, 1.0]]))
    return model, variance**0.5 * torch.randn(100_000, 1, 1, 1), real, fake


def taught(model, x):
    """The discriminator at its best on fixed pairs; its loss there."""
    shown = model.real(x).detach(), model.fake(x).detach()
    optimizer = torch.optim.LBFGS(model.discriminator.parameters(), max_iter=60)

    def loss():
        optimizer.zero_grad()
        value = model.objective.discriminator(
            *(model.logits(model.judge(each)) for each in shown)
        ).mean()
        value.backward()
        return value

    optimizer.step(loss)
    return loss().item()


@pytest.mark.parametrize("slope", [0.1, -0.3])
def test_the_best_discriminator_of_pairs_finds_the_log_ratio_of_their_joint_laws(slope):
    model, x, real, fake = gaussian_pairs(slope)
    loss = taught(model, x)
    inverse = (fake.precision_matrix - real.precision_matrix) / 2
    found = model.discriminator.linear.weight[0]
    expected = torch.stack([inverse[0, 0], 2 * inverse[0, 1], inverse[1, 1]])
    torch.testing.assert_close(found[2:], expected, atol=0.04, rtol=0.04)
    torch.testing.assert_close(found[:2], torch.zeros(2), atol=0.04, rtol=0)

    def ratio(shown):
        return real.log_prob(shown) - fake.log_prob(shown)

    value = softplus(-ratio(real.sample((100_000,)))) + softplus(ratio(fake.sample((100_000,))))
    assert loss == pytest.approx(value.mean().item(), abs=0.01)
    assert loss < 2 * math.log(2) - 0.1


def test_with_the_exact_posterior_nothing_can_be_told_and_the_value_is_2_log_2():
    model, x, real, fake = gaussian_pairs(1.5 / (1.5**2 + 0.8**2))
    torch.testing.assert_close(real.covariance_matrix, fake.covariance_matrix)
    torch.testing.assert_close(model.real(x).T.cov(), real.covariance_matrix, atol=0.05, rtol=0)
    torch.testing.assert_close(model.fake(x).T.cov(), fake.covariance_matrix, atol=0.05, rtol=0)
    assert taught(model, x) == pytest.approx(2 * math.log(2), abs=1e-3)
    assert model.discriminator.linear.weight.abs().max() < 0.03
    values = model.discriminator_loss(x), model.generator_loss(x)
    assert [v["loss"].item() for v in values] == pytest.approx([2 * math.log(2)] * 2, abs=2e-3)


@pytest.mark.parametrize("game", [NonSaturating(), Relativistic()])
def test_a_line_is_inverted_where_the_game_ends(game):
    """Data N(1, 2^2): z to 1 +- 2z, and back; R1 damps the game, which would circle else."""
    model = points(
        generator=partial(MLPGenerator, hidden=()),
        objective=game,
        penalties={"r1": R1(1.0)},
        optimizer=partial(torch.optim.Adam, lr=0.02, betas=(0.0, 0.9)),
    )
    turns = [(phase, phase.optimizer(phase.parameters)) for phase in model.phases()]
    for _ in range(400):
        x = 1 + 2 * torch.randn(256, 1, 1, 1)
        for phase, optimizer in turns:
            optimizer.zero_grad()
            phase.loss(x)["loss"].backward(inputs=list(phase.parameters))
            optimizer.step()
    line, back = model.generator.layers[0], model.encoder.layers[0]
    assert abs(line.weight.item()) == pytest.approx(2, abs=0.15)
    assert line.bias.item() == pytest.approx(1, abs=0.15)
    assert back.weight.item() * line.weight.item() == pytest.approx(1, abs=0.15)
    assert back.bias.item() == pytest.approx(-back.weight.item(), abs=0.15)


@pytest.mark.parametrize(("game", "sides"), SIDES, ids=[type(g).__name__ for g, _ in SIDES])
def test_generator_and_encoder_play_the_swapped_game(game, sides):
    model = bigan(objective=game)
    x = torch.rand(8, *SHAPE)
    torch.manual_seed(1)
    loss = model.generator_loss(x)["loss"]
    torch.manual_seed(1)
    real, fake = (model.logits(model.judge(each)) for each in (model.real(x), model.fake(x)))
    torch.testing.assert_close(loss, sides(real, fake).mean())


class Lopsided(BoundaryEquilibrium):
    """It plays with any logits, so that only the roles are in the way."""

    of_errors = False


def test_a_game_without_a_side_for_the_encoder_is_refused_in_one_line():
    assert [mirror(game) for game, _ in SIDES] == [0, 0, 1, 0, 0, 0]
    with pytest.raises(UsageError, match="objective=Lopsided is another") as error:
        bigan(objective=Lopsided())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [BiGAN, ALI])
def test_generator_and_encoder_share_a_turn(kind):
    model = bigan(kind)
    discriminator, generator = model.phases()
    own = {id(p) for p in model.discriminator.parameters()}
    theirs = {id(p) for m in (model.generator, model.encoder) for p in m.parameters()}
    for phase, moved in ((discriminator, own), (generator, theirs)):
        assert {id(p) for p in phase.parameters} == moved
        model.zero_grad(set_to_none=True)
        phase.loss(torch.rand(8, *SHAPE))["loss"].backward(inputs=list(phase.parameters))
        assert {id(p) for p in model.parameters() if p.grad is not None} == moved


def test_the_discriminator_sees_images_beside_the_latents_they_belong_to():
    model = bigan().eval()
    x = torch.rand(6, *SHAPE)
    flat, z = model.real(x).split([64, 3], dim=1)
    torch.testing.assert_close(flat.unflatten(1, SHAPE), x)
    torch.testing.assert_close(z, model.encoder(x))
    flat, z = model.fake(x).split([64, 3], dim=1)
    torch.testing.assert_close(flat.unflatten(1, SHAPE), model.decode(z))
    seen = beside(x, torch.randn(6, 3)).requires_grad_()
    [slope] = torch.autograd.grad(model.logits(model.judge(seen)).sum(), seen)
    assert (slope.abs().sum(0) > 0).all()


class Darker(nn.Module):
    """Half of it."""

    def forward(self, x):
        return x / 2


def test_images_are_augmented_and_pairs_are_packed():
    model = bigan(augment=Darker, packing=2)
    model.augment = Darker()
    x, z = torch.rand(6, *SHAPE), torch.randn(6, 3)
    images = torch.stack([torch.cat([x[i], x[i + 1]]) for i in (0, 2, 4)]) / 2
    latents = torch.stack([torch.cat([z[i], z[i + 1]]) for i in (0, 2, 4)])
    known = model.discriminator(images, latents).squeeze(1)
    torch.testing.assert_close(model.logits(model.judge(beside(x, z))), known)
    values = model.discriminator_loss(torch.rand(5, *SHAPE))  # one is shown twice
    assert values["loss"].isfinite()


def test_the_averaged_encoder_is_the_one_that_reconstructs(trainer, images, tmp_path):
    model = bigan(ALI, ema_half_life=20)
    fit = trainer(max_epochs=1)
    fit.fit(model, images, images)
    x = torch.rand(4, *SHAPE)
    mean = model.encoder_average.eval()(x).mean
    torch.testing.assert_close(model.infer(x).mean, mean)
    torch.testing.assert_close(model.reconstruct(x), model.eval().decode(mean))
    assert not torch.allclose(mean, model.encoder(x).mean)
    fit.save_checkpoint(tmp_path / "a.ckpt")
    loaded = ALI.load_from_checkpoint(tmp_path / "a.ckpt")
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())
    torch.testing.assert_close(loaded.reconstruct(x), model.reconstruct(x))


class Followed(BiGAN):
    """Keeps the encoder's first weights, and those after each iteration."""

    def after_iteration(self, images):
        self.steps.append(next(self.encoder.parameters()).detach().clone())
        super().after_iteration(images)


def test_the_averaged_encoder_lags_behind_by_its_half_life(trainer, images):
    """Three iterations of 16 images: beta^3 of where it was, the rest of where it went."""
    model, beta = bigan(Followed, ema_half_life=20), 0.5 ** (16 / 20)
    first = next(model.encoder.parameters()).detach().clone()
    model.steps = []
    trainer(max_epochs=1).fit(model, images)
    known = beta**3 * first + (1 - beta) * sum(
        beta ** (2 - t) * weights for t, weights in enumerate(model.steps)
    )
    torch.testing.assert_close(next(model.encoder_average.parameters()), known)
    assert (known - first).abs().max() > 1e-4  # it has moved
    assert (known - model.steps[-1]).abs().max() > 1e-4  # and lags


def test_the_discriminators_spectral_norm_rests_in_the_turn_of_generator_and_encoder():
    spectral = {"hidden": (16,), "spectral": True}
    model = bigan(
        trunk=partial(MLPTrunk, **spectral),
        joint=partial(JointTrunk, image_features=8, **spectral),
    )
    for loss, moves in ((model.generator_loss, False), (model.discriminator_loss, True)):
        before = [buffer.clone() for buffer in model.discriminator.buffers()]
        assert len(before) == 8  # two of the power iteration for each of four layers
        loss(torch.rand(4, *SHAPE))["loss"].backward()
        pairs = zip(before, model.discriminator.buffers(), strict=True)
        assert all(torch.equal(*pair) for pair in pairs) != moves


def test_points_on_a_ring_are_reconstructed():
    """Nearer to themselves than to any other, on average: published ratio below 0.62 (MNIST)."""
    hidden = (64, 64)
    model = bigan(
        shape=(2, 1, 1),
        latent_dim=2,
        generator=partial(MLPGenerator, hidden=hidden),
        trunk=partial(MLPTrunk, hidden=hidden[:1]),
        encoder=partial(MLPTrunk, hidden=hidden),
        joint=partial(JointTrunk, image_features=64, hidden=hidden),
        optimizer=partial(torch.optim.Adam, lr=2e-3, betas=(0.5, 0.99)),
    )
    turns = [(phase, phase.optimizer(phase.parameters)) for phase in model.phases()]

    def ring(count):
        angle = torch.randint(8, (count,)) * (math.pi / 4)
        circle = torch.stack([angle.cos(), angle.sin()], dim=1)
        return (0.5 + 0.4 * circle + 0.01 * torch.randn(count, 2))[..., None, None]

    for _ in range(500):
        x = ring(128)
        for phase, optimizer in turns:
            optimizer.zero_grad()
            phase.loss(x)["loss"].backward(inputs=list(phase.parameters))
            optimizer.step()
    x = ring(1000)
    made = model.reconstruct(x)
    error, other = ((made - each).square().sum(1).sqrt().mean() for each in (x, x.roll(1, 0)))
    assert error < 0.62 * other
