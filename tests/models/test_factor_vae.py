"""FactorVAE: permutations by dimension, a discriminator that finds a known correlation."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn

from gen_models.errors import UsageError
from gen_models.models import VAE, FactorVAE
from gen_models.models.factor_vae import permuted
from gen_models.networks import MLPTrunk
from gen_models.objectives import ImportanceWeighted, NegativeELBO

from .conftest import SHAPE, parts


def factor_vae(**options):
    torch.manual_seed(0)
    own = {
        "discriminator": partial(MLPTrunk, hidden=(32, 32)),
        "discriminator_optimizer": partial(torch.optim.Adam, lr=5e-3),
    }
    return FactorVAE(**{**parts(), **own, **options})


def test_a_permutation_keeps_each_latents_values_and_breaks_the_rows():
    z = torch.arange(64.0)[:, None] + 1000 * torch.arange(4)
    shuffled = permuted(z)
    assert torch.equal(shuffled.sort(0).values, z)
    rows = shuffled - 1000 * torch.arange(4)
    assert (rows == rows[:, :1]).float().mean(0)[1:].max() < 0.2
    assert (shuffled == z).float().mean() < 0.1


def test_at_the_known_logit_the_loss_adds_gamma_times_it():
    model = factor_vae(gamma=2.5, objective=NegativeELBO(beta=3.0, draws=2))
    plain = VAE(**parts(), objective=NegativeELBO(beta=3.0, draws=2))
    plain.load_state_dict(model.state_dict(), strict=False)
    nn.init.zeros_(model.discriminator.layers[-1].weight)
    nn.init.constant_(model.discriminator.layers[-1].bias, 0.7)
    x, values = torch.rand(8, *SHAPE), []
    for each in (model, plain):
        torch.manual_seed(1)
        values.append(each.loss(x))
    torch.testing.assert_close(values[0]["loss"], values[1]["loss"] + 2.5 * 0.7)
    assert values[0]["total_correlation_nats"].item() == pytest.approx(0.7)
    for name in ("negative_elbo_nats", "reconstruction_nats", "rate_nats"):
        torch.testing.assert_close(values[0][name], values[1][name])


def test_the_discriminator_finds_the_total_correlation_of_a_gaussian(monkeypatch):
    """Two of three latents correlate at 0.8: the total correlation is -log(1 - 0.64) / 2."""
    factor = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    model = factor_vae()
    known = torch.distributions.MultivariateNormal(torch.zeros(512, 3), scale_tril=factor)
    monkeypatch.setattr(model, "posterior", lambda x: known)
    phase = model.phases()[1]
    optimizer = phase.optimizer(phase.parameters)
    for _ in range(300):
        optimizer.zero_grad()
        phase.loss(torch.zeros(512, *SHAPE))["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        found = torch.stack([model.log_ratio(known.sample()).mean() for _ in range(40)]).mean()
    assert found.item() == pytest.approx(-0.5 * math.log(1 - 0.64), abs=0.06)


def test_the_discriminators_loss_is_the_cross_entropy_of_its_two_kinds():
    model = factor_vae()
    torch.manual_seed(1)
    values = model.discriminator_loss(torch.rand(16, *SHAPE))
    blind = copy.deepcopy(model)
    nn.init.zeros_(blind.discriminator.layers[-1].weight)
    nn.init.constant_(blind.discriminator.layers[-1].bias, 1.0)
    known = math.log1p(math.exp(-1)) + math.log1p(math.exp(1))
    assert blind.discriminator_loss(torch.rand(16, *SHAPE))["loss"].item() == pytest.approx(known)
    assert values["joint_logit"] != values["product_logit"]


def test_each_phase_moves_its_own_parameters_and_both_cover_the_model(trainer, images):
    model = factor_vae()
    phases = model.phases()
    assert [phase.name for phase in phases] == ["vae", "discriminator"]
    own = {id(p) for p in model.discriminator.parameters()}
    assert {id(p) for p in phases[1].parameters} == own
    everything = {id(p) for p in model.parameters() if p.requires_grad}
    assert {id(p) for p in phases[0].parameters} == everything - own
    for phase in phases:
        model.zero_grad(set_to_none=True)
        phase.loss(torch.rand(8, *SHAPE))["loss"].backward(inputs=list(phase.parameters))
        moved = {id(p) for p in model.parameters() if p.grad is not None}
        assert moved == {id(p) for p in phase.parameters}
    before = copy.deepcopy(model.state_dict())
    trainer(max_epochs=1).fit(model, images)
    changed = {
        k.split(".")[0] for k, v in model.state_dict().items() if not torch.equal(v, before[k])
    }
    assert {"discriminator", "encoder", "generator"} <= changed


def test_the_correlation_pulls_on_the_encoder():
    model = factor_vae(gamma=5.0)
    gradients = []
    for gamma in (0.0, 5.0):
        model.gamma = gamma
        torch.manual_seed(2)
        loss = model.loss(torch.ones(8, *SHAPE))["loss"]
        gradients.append(torch.autograd.grad(loss, model.encoder[0].layers[-1].weight)[0])
    assert not torch.allclose(*gradients)


def test_it_is_loaded_from_its_checkpoint_alone(trainer, images, tmp_path):
    model = factor_vae(gamma=3.0)
    fit = trainer(max_epochs=1)
    fit.fit(model, images)
    fit.save_checkpoint(tmp_path / "a.ckpt")
    loaded = FactorVAE.load_from_checkpoint(tmp_path / "a.ckpt")
    assert loaded.gamma == 3.0
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())


def test_logits_are_taken_further_in_float32_under_autocast():
    model, x = factor_vae(), torch.rand(8, *SHAPE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = model.loss(x) | model.discriminator_loss(x)
    assert {value.dtype for value in values.values()} == {torch.float32}


def test_spectral_norm_rests_in_the_vaes_turn_and_takes_one_step_in_the_discriminators():
    model = factor_vae(discriminator=partial(MLPTrunk, hidden=(16,), spectral=True))
    rested, once = (copy.deepcopy(model.discriminator) for _ in range(2))
    once(torch.rand(1, 3, 1, 1))
    for loss, known in ((model.loss, rested), (model.discriminator_loss, once)):
        loss(torch.rand(8, *SHAPE))
        after = model.discriminator.state_dict()
        assert all(torch.equal(v, after[k]) for k, v in known.state_dict().items())


def test_a_negative_weight_is_refused():
    with pytest.raises(UsageError, match=r"model\.gamma"):
        factor_vae(gamma=-1.0)


def test_a_gradient_that_would_weigh_gamma_down_is_refused_in_one_line():
    with pytest.raises(
        UsageError, match=r"model\.objective\.doubly_reparameterised=false"
    ) as error:
        factor_vae(objective=ImportanceWeighted(draws=4))
    assert "\n" not in str(error.value)
