"""The two-stage VAE: turns that leave one another alone, and samples that go u -> z -> x."""

import copy
from functools import partial

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.models import VAE, TwoStageVAE
from gen_models.networks import MLPGenerator, MLPTrunk

from .conftest import ADAM, parts

LINEAR = {"generator": partial(MLPGenerator, hidden=()), "trunk": partial(MLPTrunk, hidden=())}


def two_stage(**options):
    torch.manual_seed(0)
    second = partial(VAE, optimizer=ADAM, **LINEAR)
    return TwoStageVAE(**{**parts(), "second_stage": second, "budget": 96, "share": 0.5, **options})


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
    model.images_seen = model.turn + 1
    z = model.sample_prior(100_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.T.cov(), mixing @ mixing.T, rtol=0, atol=0.05)
    torch.testing.assert_close(z.mean(0), torch.ones(3), rtol=0, atol=0.05)


def test_samples_go_through_both_stages_once_the_second_has_begun():
    model = two_stage().eval()
    torch.nn.init.constant_(model.second_stage.likelihood.log_deviation, -1.0)

    def seeded():
        return torch.Generator().manual_seed(0)

    assert torch.equal(model.sample_prior(5, seeded()), model.prior.sample(5, seeded()))
    model.images_seen = 49
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
    model.images_seen = 90
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
