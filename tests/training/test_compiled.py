"""Compiled losses: the numbers of eager ones, compiled once, and nothing of it left behind.

Most of it is shown with torch's tracing backend, which differentiates and traces as the compiler
does and needs no C++; the compiler itself has its turn in the last tests.
"""

import re
import shutil
from functools import partial
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch._dynamo.utils import counters

from gen_models.errors import UsageError
from gen_models.models import GAN, VAE
from gen_models.networks import AutoencodingTrunk, ConvGenerator, ConvTrunk, MLPGenerator, MLPTrunk
from gen_models.objectives import R1, BoundaryEquilibrium, Cosine, Cyclic, Linear, NegativeELBO
from gen_models.training.compiled import Compiled, compiling
from tests.exactness import differences
from tests.models.conftest import SHAPE, parts, quiet_trainer

# Torch's compiler looks at gradients of tensors that have none, and hides the warning by itself.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")

SMALL = {
    "generator": partial(MLPGenerator, hidden=(16,)),
    "trunk": partial(MLPTrunk, hidden=(16,)),
    "latent_dim": 2,
}
ERRORS = partial(
    AutoencodingTrunk,
    trunk=partial(ConvTrunk, width=4),
    generator=partial(ConvGenerator, norm=None, width=4),
)
KINDS = {
    "vae": partial(VAE, **SMALL),
    "vae of convolutions": VAE,
    "gan": partial(GAN, **SMALL, ema_half_life=100),
    "spectral norm": partial(GAN, trunk=partial(ConvTrunk, width=4, spectral=True), n_critic=2),
    "linear": partial(VAE, **SMALL, objective=NegativeELBO(beta=Linear(images=100))),
    "cosine": partial(VAE, **SMALL, objective=NegativeELBO(beta=Cosine(images=100))),
    "cyclic": partial(VAE, **SMALL, objective=NegativeELBO(beta=Cyclic(images=60))),
    "began": partial(GAN, trunk=ERRORS, objective=BoundaryEquilibrium(rate=0.1)),
}


class Graphs(pl.Callback):
    """How many graphs torch has compiled, behind each iteration."""

    def __init__(self):
        self.counts = []

    def on_train_batch_end(self, trainer, module, *_):
        self.counts.append(counters["stats"]["unique_graphs"])


class Batches(list):
    """Goes on behind the last batch that it gave."""

    given = 0

    def __iter__(self):
        while self.given < len(self):
            self.given += 1
            yield self[self.given - 1]
        self.given = 0

    def state_dict(self):
        return {"given": self.given}

    def load_state_dict(self, state):
        self.given = state["given"]


def train(kind, folder, *callbacks, batches=10, sizes=(16,), **options):
    torch.manual_seed(0)
    model = kind(**{**parts(), **kind.keywords} if isinstance(kind, partial) else parts())
    images = Batches(images_of(batches, sizes))
    counters.clear()
    told = {"max_epochs": 1, "callbacks": list(callbacks), **options}
    quiet_trainer(folder, **told).fit(model, images)
    return model


def images_of(batches, sizes):
    torch.manual_seed(3)
    return [torch.rand(sizes[i % len(sizes)], *SHAPE) for i in range(batches)]


def history(model):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in model.history]


def check_equal(one, other, tolerance=1e-4):
    """Losses of all steps, and weights, averages and buffers behind them."""
    assert len(one.history) == len(other.history) == 10
    for mine, theirs in zip(history(one), history(other), strict=True):
        assert mine == pytest.approx(theirs, rel=tolerance, abs=tolerance)
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(tensor, other.state_dict()[name], rtol=tolerance, atol=tolerance)


@pytest.fixture
def traced(monkeypatch):
    compile = torch.compile

    def tracing(function, *, dynamic, options):
        assert options["fallback_random"]
        return compile(function, dynamic=dynamic, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", tracing)


def check_ten_steps(name, tmp_path):
    """Compiled once, with the losses and the noise of eager ones."""
    eager = train(KINDS[name], tmp_path)
    noise = torch.get_rng_state()
    graphs = Graphs()
    compiled = train(KINDS[name], tmp_path, graphs, Compiled("reduce-overhead"))
    assert torch.equal(torch.get_rng_state(), noise)
    check_equal(eager, compiled)
    assert set(graphs.counts[1:]) == {len(eager.phases())}


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", KINDS)
def test_ten_steps_are_those_of_eager_losses_and_are_compiled_once(name, tmp_path):
    check_ten_steps(name, tmp_path)
    assert not counters["graph_break"]


@pytest.mark.usefixtures("traced")
def test_each_size_of_batch_is_compiled_once(tmp_path):
    graphs = Graphs()
    train(KINDS["vae"], tmp_path, graphs, Compiled("default"), sizes=(16, 16, 8, 4))
    assert graphs.counts == [1, 1, 2, 3, 3, 3, 3, 3, 3, 3]


class Keep(pl.Callback):
    """Saves in the midst."""

    def on_train_batch_end(self, trainer, module, *_):
        if module.iterations == 5:
            trainer.save_checkpoint(trainer.default_root_dir + "/kept.ckpt")


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", ["linear", "spectral norm"])
def test_a_resumed_run_ends_bit_identical(name, tmp_path):
    whole = train(KINDS[name], tmp_path, Keep(), Compiled("default"), sizes=(16, 16, 8))
    kept = torch.load(tmp_path / "kept.ckpt", weights_only=True)
    torch.manual_seed(7)
    resumed = KINDS[name](**{**parts(), **KINDS[name].keywords})
    images = Batches(images_of(10, (16, 16, 8)))
    trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[Compiled("default")])
    trainer.fit(resumed, images, ckpt_path=tmp_path / "kept.ckpt")
    assert differences(history(resumed), history(whole)) == []
    assert differences(resumed.state_dict(), whole.state_dict()) == []
    plain = train(KINDS[name], tmp_path, Keep(), sizes=(16, 16, 8))
    eager = torch.load(tmp_path / "kept.ckpt", weights_only=True)
    assert outline(kept) == outline(eager)
    assert plain.hparams == whole.hparams


def outline(value):
    """Names and types of what a checkpoint holds."""
    if isinstance(value, dict):
        return {key: outline(item) for key, item in value.items()}
    return [outline(item) for item in value] if isinstance(value, list) else type(value)


@pytest.mark.usefixtures("traced")
def test_training_leaves_the_model_as_it_was(tmp_path):
    model = train(KINDS["gan"], tmp_path, Compiled("default"))
    assert [phase.loss for phase in model.acting] == [phase.loss for phase in model.phases()]
    assert model.images_seen == 160
    learned = [*model.generator.parameters(), *model.discriminator.parameters()]
    assert all(p.requires_grad and p.grad is None for p in learned)
    assert not any(p.requires_grad for p in model.average.parameters())


def test_no_gradient_of_another_player_is_computed(monkeypatch, tmp_path):
    """Compiled code has all gradients or none, whatever `backward(inputs=...)` asks for."""
    asked = {}

    def spying(function, **options):
        def loss(x):
            model = function.__self__
            asked[function.__name__] = {n for n, p in model.named_parameters() if p.requires_grad}
            return function(x)

        return loss

    monkeypatch.setattr(torch, "compile", spying)
    train(KINDS["gan"], tmp_path, Compiled("default"))
    players = {loss: {n.split(".")[0] for n in names} for loss, names in asked.items()}
    assert players == {"discriminator_loss": {"discriminator"}, "generator_loss": {"generator"}}


def test_the_count_of_images_lies_in_one_place(monkeypatch, tmp_path):
    """A CUDA graph reads a module's tensors where they lay when it was recorded."""
    seen = {}

    def spying(function, **options):
        def loss(x):
            count = function.__self__.images_seen
            seen.setdefault(function.__name__, []).append((count, count.item()))
            return function(x)

        return loss

    monkeypatch.setattr(torch, "compile", spying)
    train(KINDS["gan"], tmp_path, Compiled("default"))
    for calls in seen.values():
        assert len({id(count) for count, _ in calls}) == 1
        assert [number for _, number in calls] == [16 * i for i in range(10)]


def test_values_outlive_memory_that_is_written_again(monkeypatch, tmp_path):
    """A CUDA graph writes its outputs where it wrote them before."""

    def replaying(function, **options):
        before = []

        def loss(x):
            with torch.no_grad():
                for value in before:
                    value.fill_(torch.nan)
            values = function(x)
            before[:] = [value.detach() for value in values.values()]
            return values

        return loss

    eager = train(KINDS["gan"], tmp_path, log_every_n_steps=5)
    monkeypatch.setattr(torch, "compile", replaying)
    replayed = train(KINDS["gan"], tmp_path, Compiled("default"), log_every_n_steps=5)
    assert history(replayed) == history(eager)


@pytest.mark.usefixtures("traced")
def test_a_loss_of_slopes_runs_as_it_is_and_says_so(tmp_path):
    kind = partial(GAN, **SMALL, penalties={"r1": R1(0.1)})
    eager = train(kind, tmp_path)
    with pytest.warns(UserWarning, match="the phase discriminator differentiates a gradient"):
        compiled = train(kind, tmp_path, graphs := Graphs(), Compiled("default"))
    check_equal(eager, compiled)
    assert set(graphs.counts) == {1}


class Doubly(VAE):
    """A loss of slopes that does not say so."""

    def loss(self, x):
        x = x.clone().requires_grad_()
        values = super().loss(x)
        (slope,) = torch.autograd.grad(values["loss"], x, create_graph=True)
        return {"loss": values["loss"] + slope.square().sum()}


class Spilt(VAE):
    """A loss with a call that no compiler traces."""

    def loss(self, x):
        values = super().loss(x)
        assert values["loss"].item() > 0
        return values


@pytest.mark.usefixtures("traced")
def test_what_does_not_compile_is_told_in_one_line(tmp_path):
    message = re.compile("does not compile .* set compile=null")
    with pytest.raises(UsageError, match=message) as told, compiling("default"):
        train(partial(Doubly, **SMALL), tmp_path, Compiled("default"))
    assert "\n" not in str(told.value)
    with pytest.raises(RuntimeError, match="double backward"), compiling(None):
        train(partial(Doubly, **SMALL), tmp_path, Compiled("default"))
    with pytest.raises(KeyError), compiling("default"):
        raise KeyError("of the user")


@pytest.mark.usefixtures("traced")
def test_a_loss_that_falls_into_several_graphs_is_the_same(tmp_path):
    kind = partial(Spilt, **SMALL)
    check_equal(train(kind, tmp_path), train(kind, tmp_path, Compiled("default")))
    assert counters["graph_break"]


def test_no_other_modes_and_no_several_devices():
    with pytest.raises(UsageError, match="compile=fast must be null or one of default, reduce-ov"):
        Compiled("fast")
    with pytest.raises(UsageError, match="on one device alone; set compile=null"):
        Compiled("default").on_train_start(SimpleNamespace(world_size=2), VAE(**parts()))


@pytest.mark.skipif(not shutil.which("g++"), reason="torch's compiler needs g++ on a CPU")
@pytest.mark.parametrize("name", ["linear", pytest.param("gan", marks=pytest.mark.slow)])
def test_the_compiler_itself_gives_ten_steps_of_eager_losses(name, tmp_path):
    check_ten_steps(name, tmp_path)
