"""The two-stage VAE: turns that leave one another alone, and samples that go u -> z -> x."""

import copy
from functools import partial

import pytest
import torch

from gen_models.checkpoints import ONLY_TRAINING
from gen_models.errors import UsageError
from gen_models.models import VAE, FactorVAE, TwoStageVAE
from gen_models.networks import MLPGenerator, MLPTrunk
from gen_models.objectives import Linear, NegativeELBO

from .conftest import ADAM, parts

LINEAR = {"generator": partial(MLPGenerator, hidden=()), "trunk": partial(MLPTrunk, hidden=())}


SECOND = partial(VAE, optimizer=ADAM, **LINEAR)


def two_stage(**options):
    torch.manual_seed(0)
    return TwoStageVAE(**{**parts(), "second_stage": SECOND, "budget": 96, "share": 0.5, **options})


def stages(model):
    """Copies of the parameters and buffers of the first and of the second stage."""
    state = copy.deepcopy(model.state_dict())
    second = {k: v for k, v in state.items() if k.startswith("second_stage.")}
    return {k: v for k, v in state.items() if k not in second}, second


def same(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


def test_each_stage_has_its_share_and_leaves_the_other_bit_for_bit(trainer, images, tmp_path):
    model = two_stage()
    untrained = stages(model)
    fit = trainer(max_epochs=1)  # 48 images: the first stage's half
    fit.fit(model, images)
    fit.save_checkpoint(tmp_path / "half.ckpt")
    half = stages(model)
    assert not same(half[0], untrained[0])
    assert same(half[1], untrained[1])
    whole = two_stage()
    trainer(max_epochs=2).fit(whole, images, images, ckpt_path=tmp_path / "half.ckpt")
    ends = stages(whole)
    assert same(ends[0], half[0])
    assert not same(ends[1], half[1])


def test_a_linear_second_stage_recovers_the_covariance_of_the_latents():
    model = two_stage()
    mixing = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-0.3, 0.2, 0.4]])
    second = model.second_stage
    optimizer = torch.optim.Adam(second.parameters(), lr=3e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        z = torch.randn(256, 3) @ mixing.T + 1.0
        loss = second.loss(z[..., None, None])["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    second.images_seen = 1
    z = model.sample_prior(100_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.T.cov(), mixing @ mixing.T, rtol=0, atol=0.05)
    torch.testing.assert_close(z.mean(0), torch.ones(3), rtol=0, atol=0.05)


def test_samples_go_through_both_stages_once_the_second_has_begun():
    model = two_stage().eval()
    torch.nn.init.constant_(model.second_stage.likelihood.log_deviation, -1.0)

    def seeded():
        return torch.Generator().manual_seed(0)

    assert torch.equal(model.sample_prior(5, seeded()), model.prior.sample(5, seeded()))
    model.second_stage.images_seen = 1
    generator = seeded()
    u = torch.randn(5, 3, generator=generator)
    noise = torch.randn(5, 3, generator=generator)
    z = model.second_stage.generator(u).flatten(1) + torch.tensor(-1.0).exp() * noise
    torch.testing.assert_close(model.sample_prior(5, seeded()), z)
    torch.testing.assert_close(model.sample(5, seeded()), model.decode(z))


def test_the_second_stage_learns_draws_from_the_posterior_not_means():
    model, seen = two_stage(), []
    model.second_stage.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.rand(2000, 1, 8, 8)
    model.second_loss(x)
    posterior = model.posterior(x)
    z = (seen[0].flatten(1) - posterior.mean) / posterior.stddev
    assert not seen[0].requires_grad
    assert abs(z.mean().item()) < 0.05
    assert z.std().item() == pytest.approx(1, abs=0.05)


def test_the_bound_is_that_of_the_first_stage():
    model = two_stage()
    model.second_stage.images_seen = 1
    plain = VAE(**parts())
    plain.load_state_dict(stages(model)[0])
    pixels, values = torch.rand(4, 1, 8, 8), []
    for one in (model, plain):
        torch.manual_seed(1)
        values.append(one.elbo_terms(pixels))
    torch.testing.assert_close(values[0], values[1])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_both_stages_must_have_a_share(share):
    with pytest.raises(UsageError, match=r"model\.share"):
        two_stage(share=share)


def saved(trainer, images, path, epochs, **options):
    """A model after some epochs of 48 images, and its checkpoint."""
    model, fit = two_stage(**options), trainer(max_epochs=epochs)
    fit.fit(model, images)
    fit.save_checkpoint(path)
    return model, torch.load(path, weights_only=True)


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("budget", [12, 960])
def test_under_any_budget_a_checkpoint_is_evaluated_as_it_was_trained(
    budget, epochs, trainer, images, tmp_path
):
    model, checkpoint = saved(trainer, images, tmp_path / "a.ckpt", epochs)
    other = two_stage(budget=budget)
    other.restore(checkpoint, [key for key in other.hparams if key not in ONLY_TRAINING])
    other.load_state_dict(checkpoint["state_dict"])
    alone = TwoStageVAE.load_from_checkpoint(tmp_path / "a.ckpt", budget=budget)
    one, two, three = (
        each.sample_prior(4, torch.Generator().manual_seed(0)) for each in (model, other, alone)
    )
    assert torch.equal(one, two)
    assert torch.equal(one, three)
    plain = model.prior.sample(4, torch.Generator().manual_seed(0))
    assert torch.equal(one, plain) == (epochs == 1)


def test_a_longer_run_keeps_the_turn_of_the_first(trainer, images, tmp_path):
    half, checkpoint = saved(trainer, images, tmp_path / "a.ckpt", 1)
    longer = two_stage(budget=960)
    trainer(max_epochs=2).fit(longer, images, ckpt_path=tmp_path / "a.ckpt")
    assert longer.turn == 48
    assert longer.second_stage.images_seen == 48
    assert same(stages(longer)[0], stages(half)[0])
    with pytest.raises(UsageError, match=r"share is 0\.5 there"):
        two_stage(share=0.4).restore(checkpoint, ["budget", "share"])


def test_the_second_stage_begins_with_the_first_whole_batch_behind_its_turn(trainer, images):
    model = two_stage(budget=100)  # the turn is at 50; batches end at 48 and at 64
    trainer(max_epochs=2, limit_train_batches=2).fit(model, images)
    assert (model.images_seen, model.second_stage.images_seen) == (64, 0)
    z = model.sample_prior(4, torch.Generator().manual_seed(0))
    assert torch.equal(z, model.prior.sample(4, torch.Generator().manual_seed(0)))


def test_the_second_stage_follows_its_own_schedule_average_and_clip(trainer, images):
    objective = NegativeELBO(beta=Linear(images=64))
    second = partial(SECOND, objective=objective, ema_half_life=0.5, clip=0.25)
    model = two_stage(second_stage=second, clip=4.0)
    assert [phase.clip for phase in model.phases()] == [4.0, 0.25]
    trainer(max_epochs=2).fit(model, images)
    assert model.second_stage.images_seen == 48
    betas = []
    for row in model.history[3:]:
        loss, reconstruction, rate = (
            row[f"train/second_stage/{name}"]
            for name in ("loss", "reconstruction_nats", "rate_nats")
        )
        betas.append((loss - reconstruction) / rate)
    assert betas == pytest.approx([0.0, 0.25, 0.5], abs=1e-4)
    pairs = zip(
        model.second_stage.average.network.parameters(),
        model.second_stage.generator.parameters(),
        strict=True,
    )
    for followed, current in pairs:  # half of the past is gone after half an image
        torch.testing.assert_close(followed, current, rtol=1e-4, atol=1e-6)


FACTOR = partial(
    FactorVAE, optimizer=ADAM, discriminator=MLPTrunk, discriminator_optimizer=ADAM, **LINEAR
)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (partial(SECOND, lr_schedule=Linear(images=9)), r"second_stage\.lr_schedule"),
        (FACTOR, "FactorVAE has several phases"),
    ],
)
def test_what_the_second_stage_cannot_have_is_refused_in_one_line(second, message):
    with pytest.raises(UsageError, match=message) as error:
        two_stage(second_stage=second)
    assert "\n" not in str(error.value)
