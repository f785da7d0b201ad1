"""The phase loop: the arithmetic of automatic optimisation, players apart, counted in images."""

import copy
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from gen_models.errors import UsageError
from gen_models.models import GAN, VAE, ConditionalVAE, GenerativeModule, Phase
from gen_models.models.average import ExponentialAverage
from gen_models.objectives import Linear

from .conftest import ADAM, SHAPE, parts


class Automatic(pl.LightningModule):
    """The same VAE under Lightning's own automatic optimisation."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def training_step(self, batch, batch_index):
        return self.model.loss(batch[0])["loss"]

    def configure_optimizers(self):
        return ADAM(self.model.parameters())


def test_a_vae_ends_bit_identical_to_automatic_optimisation(vae, trainer, images):
    other = Automatic(copy.deepcopy(vae))
    torch.manual_seed(5)
    trainer().fit(vae, images)
    torch.manual_seed(5)
    trainer().fit(other, images)
    mine, theirs = vae.state_dict(), other.model.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)


@pytest.mark.parametrize("n_critic", [1, 3])
def test_budget_is_counted_in_images_whatever_the_number_of_optimisers(
    vae, trainer, images, n_critic
):
    gan = GAN(**parts(), n_critic=n_critic)
    for model in (vae, gan):
        trainer().fit(model, images)
        assert model.images_seen == 2 * 48
        assert model.iterations == 2 * 3


def test_the_generator_acts_once_for_n_critic_turns_of_the_discriminator(trainer, images):
    gan = GAN(**parts(), n_critic=3)
    fit = trainer()
    fit.fit(gan, images)
    steps = [next(iter(o.state.values()))["step"].item() for o in fit.optimizers]
    assert steps == [6, 2]


@pytest.mark.parametrize("kind", [VAE, GAN])
def test_each_phase_reaches_its_own_parameters_and_no_others(kind):
    model = kind(**parts())
    x = torch.rand(4, *SHAPE)
    covered = []
    for phase in model.phases():
        for p in model.parameters():
            p.grad = None
        phase.loss(x)["loss"].backward(inputs=list(phase.parameters))
        moved = {id(p) for p in model.parameters() if p.grad is not None}
        assert moved == {id(p) for p in phase.parameters}
        covered += [id(p) for p in phase.parameters]
    assert sorted(covered) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def test_a_discriminators_turn_leaves_the_generator_where_it_was(gan, trainer, images):
    """Broken on purpose by giving the first phase all parameters, this fails."""
    gan.n_critic = 1000
    before = copy.deepcopy(dict(gan.generator.named_parameters()))
    critic = copy.deepcopy(dict(gan.discriminator.named_parameters()))
    trainer().fit(gan, images)
    after = dict(gan.generator.named_parameters())
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not all(torch.equal(critic[k], v) for k, v in gan.discriminator.named_parameters())


def test_the_discriminator_sees_real_and_fake_images_on_one_scale():
    from gen_models.data.ranges import Scaler

    seen = []
    gan = GAN(**parts(), scaler=Scaler([0.2], [0.1]))
    gan.discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    gan.discriminator_loss(gan.scaler(torch.rand(4, *SHAPE)))
    gan.generator_loss(torch.rand(4, *SHAPE))
    for x in seen:
        pixels = gan.scaler.inverse(x)
        assert -1e-5 <= pixels.min() <= pixels.max() <= 1 + 1e-5
    assert seen[1].min() < -0.5 or seen[1].max() > 1.5


def test_clipping_bounds_the_step(trainer, images):
    torch.manual_seed(0)
    sgd = partial(torch.optim.SGD, lr=1.0)
    vae = VAE(**{**parts(), "optimizer": sgd}, clip=1e-3)
    before = [p.detach().clone() for p in vae.parameters()]
    trainer(max_steps=1).fit(vae, images)
    moved = sum((a - b).square().sum() for a, b in zip(vae.parameters(), before, strict=True))
    assert moved.sqrt().item() == pytest.approx(1e-3, rel=1e-3)


def test_terms_are_logged_apart_in_nats_and_over_images(vae, trainer, images):
    trainer().fit(vae, images, images)
    last = [row for row in vae.history if "train/vae/rate_nats" in row][-1]
    parts_ = last["train/vae/reconstruction_nats"] + last["train/vae/rate_nats"]
    assert last["train/vae/negative_elbo_nats"] == pytest.approx(parts_, rel=1e-5)
    assert [row["images"] for row in vae.history if "train/vae/loss" in row] == [
        16.0 * (i + 1) for i in range(6)
    ]
    assert any("validation/vae/rate_nats" in row for row in vae.history)


def test_validating_does_not_move_training(trainer, images):
    ends = []
    # A DataLoader draws its base seed from the global state, unless it has a source of its own.
    held_out = DataLoader(images.dataset, batch_size=16, generator=torch.Generator())
    for validation in (held_out, None):
        torch.manual_seed(0)
        gan = GAN(**parts(), ema_half_life=20)
        trainer().fit(gan, images, validation)
        ends.append(gan.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_a_weighted_objective_still_logs_the_bound_itself():
    from gen_models.objectives import NegativeELBO

    torch.manual_seed(0)
    vae = VAE(**parts(), objective=NegativeELBO(beta=4.0))
    values = vae.loss(torch.rand(8, *SHAPE))
    bound = values["reconstruction_nats"] + values["rate_nats"]
    torch.testing.assert_close(values["negative_elbo_nats"], bound)
    torch.testing.assert_close(values["loss"], bound + 3 * values["rate_nats"])


class Diverging(GenerativeModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def phases(self):
        return [Phase("one", self.loss, [self.weight], ADAM)]

    def loss(self, x):
        return {"loss": (self.weight * (float("nan") if self.iterations >= 2 else 1.0)).sum()}


def test_a_loss_that_is_not_finite_ends_training_and_says_when(trainer, images):
    model = Diverging()
    with pytest.warns(UserWarning, match="divergence at 48 images: train/one/loss was not finite"):
        trainer(max_epochs=5).fit(model, images)
    assert model.diverged == "train/one/loss was not finite at 48 images (epoch 0, batch 2)"
    assert [(event["kind"], event["images"]) for event in model.events] == [("divergence", 48)]
    assert model.iterations == 3


def test_average_follows_with_its_half_life_in_images_and_its_buffers():
    network = torch.nn.BatchNorm1d(2)
    average = ExponentialAverage(network, half_life=100)
    network.weight.data.fill_(3.0)
    network.running_mean.fill_(5.0)
    network.num_batches_tracked.fill_(7)
    for _ in range(10):
        average.update(network, images=20)
    residual = 0.5 ** (10 * 20 / 100)
    torch.testing.assert_close(average.network.weight, torch.full((2,), 3 - 2 * residual))
    torch.testing.assert_close(average.network.running_mean, torch.full((2,), 5 - 5 * residual))
    assert average.network.num_batches_tracked == 7
    assert not any(p.requires_grad for p in average.parameters())


def test_only_the_generator_is_averaged_and_it_is_what_is_evaluated(gan, trainer, images):
    assert {name.split(".")[0] for name in gan.average.state_dict()} == {"network"}
    assert gan.average.network.state_dict().keys() == gan.generator.state_dict().keys()
    trainer().fit(gan, images)
    z = torch.randn(4, 3)
    gan.eval()
    torch.testing.assert_close(gan.decode(z), gan.pixels(gan.average.network(z)))
    assert not torch.allclose(gan.decode(z), gan.pixels(gan.generator(z)))


class Staged(GenerativeModule):
    """Two numbers that fall by one an iteration of eight images, each in its own stage."""

    def __init__(self, labelled=False):
        super().__init__()
        self.first, self.second = (torch.nn.Parameter(torch.zeros(())) for _ in range(2))
        self.labels, self.labelled = [], labelled

    def phases(self):
        sgd = partial(torch.optim.SGD, lr=1.0)
        if self.labelled:
            return [Phase("labelled", self.look, [self.first], sgd, labelled=True)]
        first = Phase("first", lambda x: {"loss": self.first}, [self.first], sgd, ends=24)
        second = Phase("second", lambda x: {"loss": self.second}, [self.second], sgd, begins=24)
        return [first, second]

    def look(self, x, labels):
        self.labels += labels.tolist()
        return {"loss": self.first}


def test_a_phase_acts_between_its_first_and_last_image(trainer):
    staged = Staged()
    loader = DataLoader(torch.zeros(80, *SHAPE), batch_size=8)
    trainer(max_epochs=1).fit(staged, loader)
    assert (staged.first.item(), staged.second.item()) == (-3.0, -7.0)
    logged = [{k for k in row if k.endswith("loss")} for row in staged.history]
    assert logged == [{"train/first/loss"}] * 3 + [{"train/second/loss"}] * 7


@pytest.mark.parametrize("resumed", [False, True])
def test_learning_rates_are_the_schedules_factor_of_the_first_ones(trainer, tmp_path, resumed):
    """Each step is as long as its rate: 1, 0.9, 0.8, then 0.7, 0.6, and 0.5 five times."""
    halved = Linear(images=40, start=1.0, end=0.5)
    staged, loader = Staged(), DataLoader(torch.zeros(40, *SHAPE), batch_size=8)
    staged.lr_schedule, checkpoint = halved, None
    if resumed:
        first = trainer(max_epochs=1)
        first.fit(staged, loader)
        checkpoint = tmp_path / "half.ckpt"
        first.save_checkpoint(checkpoint)
        staged = Staged()
        staged.lr_schedule = halved
    whole = trainer(max_epochs=2)
    whole.fit(staged, loader, ckpt_path=checkpoint)
    assert staged.first.item() == pytest.approx(-2.7)
    assert staged.second.item() == pytest.approx(-3.8)
    groups = [optimizer.param_groups[0] for optimizer in whole.optimizers]
    assert [group["lr"] for group in groups] == pytest.approx([0.8, 0.5])
    assert [group["initial_lr"] for group in groups] == [1.0, 1.0]


def test_a_labelled_phase_gets_labels_and_says_so_where_there_are_none(trainer):
    staged = Staged(labelled=True)
    images, labels = torch.zeros(4, *SHAPE), torch.tensor([3, 1, 0, 2])
    trainer(max_epochs=1).fit(staged, DataLoader(TensorDataset(images, labels), batch_size=2))
    assert staged.labels == [3, 1, 0, 2]
    with pytest.raises(UsageError, match="phase labelled of the model needs labels"):
        trainer(max_epochs=1).fit(Staged(labelled=True), DataLoader(images, batch_size=2))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"clip": -1.0}, r"model\.clip must be above 0, or null, not -1"),
        ({"clip": 0.0}, r"model\.clip must be above 0"),
        (
            {"lr_schedule": Linear(images=9, start=1.0, end=-1.0)},
            r"model\.lr_schedule must be 0 or",
        ),
    ],
)
@pytest.mark.parametrize("kind", [VAE, partial(ConditionalVAE, num_classes=3)])
def test_what_would_climb_is_refused_before_training(kind, options, told):
    with pytest.raises(UsageError, match=told) as error:
        kind(**parts(), **options)
    assert "\n" not in str(error.value)
