"""The game of a GAN: whose turn it is, what each player is shown, and what a turn leaves alone."""

import math
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import DataLoader, TensorDataset

from gen_models.distributions import FittedMixture, FlowPrior, GaussianMixture
from gen_models.errors import UsageError
from gen_models.models import GAN, VAE, VAEGAN, BiGAN, ConditionalGAN
from gen_models.models.adversary import whole_packs
from gen_models.models.gan import pack
from gen_models.networks import AutoencodingTrunk, ConvGenerator, ConvTrunk, JointTrunk, MLPTrunk
from gen_models.objectives import (
    DRAGAN,
    R1,
    R2,
    BoundaryEquilibrium,
    Cosine,
    GradientPenalty,
    Linear,
    Relativistic,
    Wasserstein,
)

from .conftest import SHAPE, parts


class Watched(GAN):
    """Keeps, after each turn, who has had it and the gradients of both players."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.turns = []

    def phases(self):
        return [
            replace(phase, after=partial(self.look, phase.name, phase.after))
            for phase in super().phases()
        ]

    def look(self, name, after):
        if after is not None:
            after()
        gradients = {
            player: [None if p.grad is None else p.grad.clone() for p in network.parameters()]
            for player, network in (
                ("discriminator", self.discriminator),
                ("generator", self.generator),
            )
        }
        largest = max(p.abs().max().item() for p in self.discriminator.parameters())
        self.turns.append((name, gradients, largest))


class SpectralTrunk(nn.Module):
    """A perceptron whose weights have norm 1, by one step of the power iteration a pass."""

    def __init__(self, shape, features):
        super().__init__()
        first, last = nn.Linear(math.prod(shape), 8), nn.Linear(8, features)
        self.layers = nn.Sequential(
            nn.Flatten(), spectral_norm(first), nn.Tanh(), spectral_norm(last)
        )

    def forward(self, x):
        return self.layers(x)


def buffers(network):
    return {name: buffer.clone() for name, buffer in network.named_buffers()}


def moved(before, network):
    return [name for name, buffer in network.named_buffers() if not buffer.equal(before[name])]


def test_after_its_turn_a_player_has_gradients_and_the_other_has_those_it_had(trainer, images):
    gan = Watched(**parts(), n_critic=2, penalties={"r1": R1(1.0)})
    trainer(max_epochs=2).fit(gan, images)
    order = ["discriminator", "discriminator", "generator"]
    assert [name for name, *_ in gan.turns] == 3 * order
    other = {"discriminator": "generator", "generator": "discriminator"}
    idle = [None] * len(list(gan.generator.parameters()))
    last = {"generator": idle}
    for name, gradients, _ in gan.turns:
        assert all(g is not None for g in gradients[name])
        before = last[other[name]]
        for now, then in zip(gradients[other[name]], before, strict=True):
            assert now is then is None or torch.equal(now, then)
        last = gradients


@pytest.mark.parametrize("critic_turns", [1, 3])
def test_both_players_have_had_their_turns_when_the_rate_ends_at_zero(
    trainer, images, critic_turns
):
    """N turns of the generator, n_critic N of the discriminator, over all the images."""
    gan = Watched(
        **parts(), n_critic=critic_turns, lr_schedule=Linear(images=96, start=1.0, end=0.0)
    )
    fit = trainer(max_epochs=2)
    fit.fit(gan, images)
    names = [name for name, *_ in gan.turns]
    assert names.count("discriminator") == critic_turns * names.count("generator") == 6
    assert gan.images_seen == 96
    last = {1: 80, 3: 80}[critic_turns]  # images before the last turn
    rates = [optimizer.param_groups[0]["lr"] for optimizer in fit.optimizers]
    assert rates == pytest.approx([1e-3 * (1 - last / 96)] * 2)


def test_weights_are_within_the_clip_after_each_turn_of_the_discriminator_alone(trainer, images):
    sgd = partial(torch.optim.SGD, lr=1.0)
    gan = Watched(**parts(), discriminator_optimizer=sgd, weight_clip=0.01)
    large = [p.abs().max().item() for p in gan.generator.parameters()]
    trainer(max_epochs=1).fit(gan, images)
    assert len(gan.turns) == 6
    assert all(largest == pytest.approx(0.01) for *_, largest in gan.turns)
    assert max(p.abs().max().item() for p in gan.generator.parameters()) > max(large) / 2


def test_a_generators_turn_and_validation_leave_the_spectral_norm_alone():
    gan = GAN(**{**parts(), "trunk": SpectralTrunk}, objective=Relativistic())
    x = torch.rand(4, *SHAPE)
    before = buffers(gan.discriminator)
    gan.generator_loss(x)["loss"].backward()
    assert not moved(before, gan.discriminator)
    gan.eval()
    for phase in gan.phases():
        phase.values(x)
    assert not moved(before, gan.discriminator)
    gan.train()
    gan.discriminator_loss(x)
    assert moved(before, gan.discriminator)


def test_a_turn_of_the_discriminator_is_one_step_of_the_power_iteration():
    """With two penalties and two passes, all of the same weights."""
    penalties = {"r1": R1(1.0), "r2": R2(1.0)}
    gan = GAN(**{**parts(), "trunk": SpectralTrunk}, penalties=penalties)
    once = deepcopy(gan.discriminator)
    gan.discriminator_loss(torch.rand(4, *SHAPE))
    once(torch.rand(1, *SHAPE))
    assert not moved(buffers(once), gan.discriminator)


PENALTIES = {
    "gradient": GradientPenalty(10.0),
    "dragan": DRAGAN(10.0),
    "r1": R1(1.0),
    "r2": R2(Linear(images=100, start=1.0, end=0.5)),
}


@pytest.mark.parametrize(
    "trunk", [SpectralTrunk, partial(MLPTrunk, hidden=(16,))], ids=["sn", "mlp"]
)
def test_penalties_are_known_in_validation_and_the_same_under_autocast(trunk):
    gan, x = GAN(**{**parts(), "trunk": trunk}, penalties=PENALTIES).eval(), torch.rand(4, *SHAPE)
    with torch.inference_mode():
        assert all(value.isfinite() for value in gan.discriminator_loss(x).values())
    plain = gan.discriminator_loss(x)["r1"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = gan.discriminator_loss(x)["r1"]
    torch.testing.assert_close(lowered, plain, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("norm", ["batch", "group", None])
def test_a_slope_through_batch_norm_is_refused_in_one_line(norm):
    make = partial(GAN, **{**parts(), "trunk": partial(ConvTrunk, stages=2, norm=norm)})
    make()
    if norm != "batch":
        make(penalties=PENALTIES)
        return
    with pytest.raises(UsageError, match=r"model\.penalties \(r1\).* batch norm") as error:
        make(penalties={"r1": R1(1.0)})
    assert "\n" not in str(error.value)


def test_penalties_at_labels_are_known_in_validation_too():
    cgan = ConditionalGAN(**parts(), num_classes=3, penalties=PENALTIES).eval()
    with torch.inference_mode():
        values = cgan.discriminator_loss(torch.rand(4, *SHAPE), torch.tensor([0, 2, 1, 1]))
    assert all(value.isfinite() for value in values.values())


def test_the_loss_is_the_objective_and_each_penalty_times_its_weight_at_this_time():
    gan = GAN(**parts(), objective=Wasserstein(), penalties=PENALTIES)
    gan.images_seen = 50
    values = gan.discriminator_loss(torch.rand(8, *SHAPE))
    weights = {"gradient": 10.0, "dragan": 10.0, "r1": 1.0, "r2": 0.75}
    paid = sum(weights[name] * values[name] for name in PENALTIES)
    played = values["fake_logit"] - values["real_logit"]
    torch.testing.assert_close(values["loss"], played + paid)


def constant(gan):
    for p in gan.discriminator.parameters():
        nn.init.zeros_(p)
    return gan


def test_nothing_is_to_be_learned_from_a_relativistic_discriminator_that_is_constant():
    gan = constant(GAN(**parts(), objective=Relativistic()))
    loss = gan.generator_loss(torch.rand(8, *SHAPE))["loss"]
    assert loss.item() == pytest.approx(math.log(2))
    assert gan.discriminator_loss(torch.rand(8, *SHAPE))["loss"].item() == pytest.approx(
        math.log(2)
    )
    loss.backward()
    assert all(not p.grad.any() for p in gan.generator.parameters())


def test_pairs_are_told_apart_where_the_real_one_has_the_higher_logit():
    gan = GAN(**parts())
    gan.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    with torch.no_grad():
        gan.discriminator[1].weight.fill_(1.0)
    for real, share in ((2.0, 1.0), (-2.0, 0.0)):
        assert gan.discriminator_loss(torch.full((4, *SHAPE), real))["told_apart"] == share


@dataclass(frozen=True)
class Negated:
    """An augmentation that can be recognised."""

    def __call__(self, x):
        return -1 - x


def test_both_players_show_the_discriminator_augmented_images_alone():
    seen = []
    gan = GAN(**parts(), augment=Negated(), objective=Relativistic(), penalties={"r1": R1(1.0)})
    gan.discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    gan.discriminator_loss(torch.rand(4, *SHAPE))
    gan.generator_loss(torch.rand(4, *SHAPE))
    assert len(seen) == 5
    assert all(-2 <= x.min() <= x.max() <= -1 for x in seen)
    *_, real, fake = seen[:3]  # of the discriminator's turn, behind the penalty's
    assert not real.requires_grad
    assert not fake.requires_grad
    assert seen[3].requires_grad


@pytest.mark.parametrize(("size", "variation"), [(1, 0.2), (2, 0.36), (3, 0.488), (4, 0.5904)])
def test_packs_of_m_tell_p_from_q_as_their_products_do(size, variation):
    """U[0, 1] against U[0.2, 1]: total variation 1 - 0.8^m (Lin et al., 2018)."""
    fifths = (torch.arange(5) + 0.5) / 5  # of equal mass under p; the first has none under q
    tuples = torch.cartesian_prod(*[fifths] * size).reshape(-1, size)
    packs = pack(tuples.reshape(-1, 1, 1, 1), size)
    assert torch.equal(packs, tuples[:, :, None, None])
    impossible = (packs < 0.2).flatten(1).any(1)
    assert impossible.double().mean().item() == pytest.approx(variation)


@pytest.mark.parametrize(
    ("count", "size", "known"),
    [
        (5, 2, [0, 1, 2, 3, 4, 0]),
        (1, 2, [0, 0]),
        (2, 5, [0, 1, 0, 1, 0]),
        (4, 2, [0, 1, 2, 3]),
    ],
)
def test_a_pack_that_is_not_full_is_filled_with_the_first_images(count, size, known):
    x = torch.rand(count, *SHAPE)
    assert torch.equal(whole_packs(x, size), x[known])
    shown = []
    gan = GAN(**parts(), packing=size, objective=Relativistic())
    gan.discriminator.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    for loss in (gan.discriminator_loss, gan.generator_loss):
        assert loss(x)["loss"].isfinite()
    real = x[known].reshape(-1, size, *SHAPE[1:])
    assert sum(torch.equal(packs, real) for packs in shown) == 2  # once for each player
    assert {packs.shape for packs in shown} == {real.shape}


def began():
    trunk = partial(
        AutoencodingTrunk,
        code=4,
        trunk=partial(MLPTrunk, hidden=(16,)),
        generator=partial(ConvGenerator, width=4, norm=None),
    )
    return GAN(**{**parts(), "trunk": trunk}, objective=BoundaryEquilibrium(rate=0.5))


def test_the_balance_of_began_moves_in_training_and_survives_a_checkpoint(
    trainer, images, tmp_path
):
    gan, fit = began(), trainer(max_epochs=1)
    gan.objective.k.fill_(0.9)
    fit.fit(gan, images)
    fit.save_checkpoint(tmp_path / "began.ckpt")
    assert 0 < gan.objective.k < 0.9
    loaded = GAN.load_from_checkpoint(tmp_path / "began.ckpt")
    assert torch.equal(loaded.objective.k, gan.objective.k)
    logged = [row for row in gan.history if "train/discriminator/k" in row]
    assert logged[-1]["train/discriminator/k"] == pytest.approx(gan.objective.k.item())
    assert all("train/discriminator/convergence" in row for row in logged)


def test_the_balance_of_began_rests_in_validation_and_in_the_generators_turn(trainer):
    gan = began()
    loader = DataLoader(TensorDataset(torch.rand(8, *SHAPE)), batch_size=4)
    trainer().validate(gan, loader, verbose=False)
    assert gan.objective.k == 0
    gan.train()
    gan.generator_loss(torch.rand(4, *SHAPE))
    assert gan.objective.k == 0


def r3gan():
    fade = Cosine(images=96, start=0.1, end=0.01)
    penalties = {"r1": R1(fade), "r2": R2(fade)}
    schedule = Linear(images=96, start=1.0, end=0.1)
    return GAN(**parts(), objective=Relativistic(), penalties=penalties, lr_schedule=schedule)


def bigan(**options):
    small = partial(MLPTrunk, hidden=(16,), spectral=True)
    joint = partial(JointTrunk, image_features=8, hidden=(16,))
    own = {"trunk": small, "joint": joint, "encoder": partial(MLPTrunk, hidden=(16,))}
    return BiGAN(**{**parts(), **own, **options}, ema_half_life=20)


def leaning_began():
    gan = began()
    gan.objective.k.fill_(0.9)  # at 0 it would stay there
    return gan


def test_packs_larger_than_a_batch_of_training_are_refused_and_a_short_rest_is_none(
    trainer, images
):
    few = DataLoader(TensorDataset(torch.rand(2, *SHAPE)), batch_size=2)
    with pytest.raises(UsageError, match=r"model\.packing=17 is more than the 16 images") as error:
        trainer().fit(GAN(**parts(), packing=17), images)
    assert "\n" not in str(error.value)
    trainer(max_epochs=1).fit(GAN(**parts(), packing=4), images, few)


@pytest.mark.parametrize("make", [GAN, bigan, partial(ConditionalGAN, num_classes=3)])
@pytest.mark.parametrize("prior", [GaussianMixture, FlowPrior])
def test_a_prior_that_no_player_would_teach_is_refused_in_one_line(make, prior):
    own = parts() if make is not bigan else {}
    with pytest.raises(UsageError, match=f"{prior.__name__} has parameters") as error:
        make(**{**own, "prior": prior})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [GAN, VAE, partial(ConditionalGAN, num_classes=3)])
def test_a_prior_that_nothing_would_fit_is_refused_in_one_line(make):
    with pytest.raises(UsageError, match="FittedMixture is fitted to the latents") as error:
        make(**{**parts(), "prior": FittedMixture})
    assert "\n" not in str(error.value)


RESUMED = {
    "wgan_gp": lambda: GAN(  # stopped after the first of two turns of the discriminator
        **parts(), objective=Wasserstein(), penalties={"gp": GradientPenalty(10.0)}, n_critic=2
    ),
    "r3gan": r3gan,
    "bigan": bigan,
    "vae_gan": lambda: VAEGAN(
        **parts(),
        discriminator=partial(MLPTrunk, hidden=(16,)),
        features=5,
        adversarial_weight=Linear(images=96),
    ),
    "began": leaning_began,
}


@pytest.mark.parametrize("family", RESUMED)
def test_a_resumed_game_ends_where_the_whole_one_does(family, trainer, images, tmp_path):
    """Weights, averages, power iterations, balances, and the losses on the way: bit for bit."""
    # Torch's loader seeds each epoch by the noise, a resumed one before its own noise is back.
    images.generator = torch.Generator()
    ends, checkpoint = [], tmp_path / "a.ckpt"
    for legs in ((2,), (1, 2)):
        torch.manual_seed(5)
        for leg, epochs in enumerate(legs):
            model, fit = RESUMED[family](), trainer(max_epochs=epochs)
            fit.fit(model, images, ckpt_path=checkpoint if leg else None)
            fit.save_checkpoint(checkpoint)
        ends.append(model)
    whole, resumed = ends
    assert whole.iterations == resumed.iterations == 6
    # All but the clock's: seconds are of the machine.
    timeless = [[{**row, "seconds": 0} for row in model.history] for model in ends]
    assert timeless[0] == timeless[1]
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
