"""What a step costs beside its arithmetic: counted, never timed, so that it is always the same."""

import sys
from collections import Counter
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.nn.functional import mse_loss, softplus
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from gen_models.data.loader import DeviceLoader, EpochOrder
from gen_models.data.ranges import Scaler
from gen_models.models import GAN, VAE
from gen_models.training.callbacks import ImageBudget
from gen_models.training.together import Together
from tests.models.conftest import SHAPE, parts, quiet_trainer

COUNTED = range(3, 33)
"""Iterations, in the middle of one interval of the log."""


class Operators(TorchDispatchMode):
    """Counts the operators that are called, by name."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        self.calls[function.overloadpacket._qualified_op_name] += 1
        return function(*arguments, **(named or {}))


class Counting(pl.Callback):
    """Begins to count behind one batch and ends behind a later one."""

    def __init__(self, begin, end):
        self.marks = {COUNTED.start: begin, COUNTED.stop: end}

    def on_train_batch_end(self, trainer, module, *_):
        self.marks.get(module.iterations, lambda: None)()


def fused(kind, **arguments):
    torch.manual_seed(0)
    adam = partial(torch.optim.Adam, lr=1e-3, fused=True)
    return kind(**{**parts(), "optimizer": adam, **arguments})


def train(model, folder, *callbacks):
    torch.manual_seed(3)
    images = DataLoader(torch.rand(40, 16, *SHAPE), batch_size=None)
    built_in = Together([ImageBudget(10**6)])
    options = {"max_epochs": 1, "log_every_n_steps": 40, "callbacks": [built_in, *callbacks]}
    quiet_trainer(folder, **options).fit(model, images)
    return model


def operators_of(model, folder):
    operators = Operators()
    train(
        model, folder, Counting(operators.__enter__, lambda: operators.__exit__(None, None, None))
    )
    return operators.calls


def bound_by_hand(model, x):
    """The bound of the default VAE, its gradients and its step, in as few operators as it takes."""
    model.zero_grad()
    mean, raw = model.encoder[0](x).chunk(2, -1)
    scale = softplus(raw) + 1e-4
    pixels = torch.sigmoid(2 * model.generator(mean + scale * torch.randn_like(mean)))
    error = mse_loss(pixels, x, reduction="sum") / (0.18 * len(x))
    rate = (0.5 * (mean.square() + scale.square() - 1) - scale.log()).sum(1)
    (error + rate.mean()).backward(inputs=[p for p in model.parameters() if p.requires_grad])


@pytest.mark.parametrize("kind", [VAE, partial(GAN, ema_half_life=100)])
def test_no_step_waits_for_a_number(kind, tmp_path):
    calls = operators_of(fused(kind), tmp_path)
    assert calls["aten::_fused_adam_"] >= len(COUNTED)
    waits = "aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal", "aten::nonzero"
    assert [name for name in waits if calls[name]] == []


def game_by_hand(model, x):
    """The default game's two losses and their gradients, in as few operators as it takes."""
    critic, players = model.discriminator, [model.discriminator, model.generator]
    for player in players:
        fake = torch.tanh(model.generator(torch.randn(len(x), model.latent_dim)))
        if player is critic:
            loss = softplus(-critic(x)).mean() + softplus(critic(fake.detach())).mean()
        else:
            loss = softplus(-critic(fake)).mean()
        loss.backward(inputs=list(player.parameters()))


@pytest.mark.parametrize(
    ("kind", "by_hand", "more"), [(VAE, bound_by_hand, 53), (GAN, game_by_hand, 37)]
)
def test_a_step_takes_few_operators_more_than_its_loss_by_hand(kind, by_hand, more, tmp_path):
    """As many as today and two: of values that are logged, of distributions, of the step itself."""
    model = fused(kind)
    ours = sum(operators_of(model, tmp_path).values()) / len(COUNTED)
    operators, x = Operators(), torch.rand(16, *SHAPE)
    with operators:
        by_hand(model, x)
    assert ours <= sum(operators.calls.values()) + more


def test_a_batch_takes_six_operators():
    images = torch.zeros(40, *SHAPE, dtype=torch.uint8)
    loader = DeviceLoader(images, None, Scaler.symmetric(SHAPE[0]), 4, EpochOrder(40), True)
    batches = iter(loader)
    next(batches)  # behind the order of the epoch
    with Operators() as operators:
        assert len(list(batches)) == 9
    cut, pixels, scaled = ["slice", "index_select"], ["_to_copy", "div"], ["sub", "div"]
    assert operators.calls == Counter(f"aten::{name}" for name in 9 * [*cut, *pixels, *scaled])


def test_lightning_and_callbacks_take_few_calls_beside_the_step(tmp_path):
    """Of Python functions, a step: Lightning's own loop is most of them."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    class Idle(VAE):
        def _turn(self, phase, optimizer, batch):
            return {"loss": torch.zeros(())}

    model = fused(Idle)
    train(model, tmp_path, Counting(lambda: sys.setprofile(count), lambda: sys.setprofile(None)))
    assert calls / len(COUNTED) < 1000


class Listener(pl.Callback):
    """Hears of each backward pass and each step."""

    def __init__(self):
        self.heard = Counter()

    def on_after_backward(self, trainer, module):
        self.heard["backward"] += 1

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.heard["step"] += 1


@pytest.mark.parametrize("kind", [VAE, GAN])
def test_a_listener_hears_every_step_and_changes_none(kind, tmp_path):
    listener = Listener()
    heard = train(fused(kind), tmp_path, listener)
    alone = train(fused(kind), tmp_path)
    turns = 40 * len(alone.phases())
    assert listener.heard == {"backward": turns, "step": turns}
    for one, other in zip(heard.parameters(), alone.parameters(), strict=True):
        assert torch.equal(one, other)
    assert heard.trainer.global_step == alone.trainer.global_step == turns
