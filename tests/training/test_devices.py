"""Two processes make the steps of one: gloo on a CPU."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.distributions import Categorical, Gamma, Normal

from gen_models import processes
from gen_models.data import Digits
from gen_models.errors import UsageError
from gen_models.models import GAN, VAE
from gen_models.networks import ConvGenerator, ConvTrunk
from gen_models.objectives import GradientPenalty
from gen_models.training import whole_batch
from gen_models.training.devices import SharedBatch
from gen_models.training.whole_batch import WholeBatch

from ..conftest import found_by_two

PROCESSES, STEPS, SHARE = 2, 12, 8
WHOLE = PROCESSES * SHARE


def trained(kind, **options):
    """A model after training, in float64, where rounding hides nothing."""
    data = Digits(batch_size=WHOLE, limit=100, binarize="dynamic")
    data.setup()
    torch.manual_seed(3 + processes.rank())  # they begin from the first one's weights
    model = kind(
        shape=data.shape,
        scaler=data.scaler,
        latent_dim=4,
        generator=partial(ConvGenerator, width=4),
        trunk=partial(ConvTrunk, width=4),
        optimizer=partial(torch.optim.Adam, lr=1e-3),
        **options,
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=processes.count(),
        strategy=SharedBatch() if processes.count() > 1 else "auto",
        precision="64-true",
        max_epochs=-1,
        max_steps=STEPS * len(model.phases()),
        check_val_every_n_epoch=None,
        val_check_interval=STEPS // 2,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    torch.manual_seed(4)
    trainer.fit(model, datamodule=data)
    return model


class Remembering(VAE):
    """Keeps what it has seen of its own batches."""

    def __init__(self, **options):
        super().__init__(**options)
        self.register_buffer("memory", torch.zeros(()))

    def loss(self, x):
        self.memory += x.mean().detach()
        return super().loss(x)


FAMILIES = {
    "vae": partial(trained, VAE, clip=1.0),
    "gan": partial(trained, GAN, ema_half_life=100),
    "penalised": partial(trained, GAN, penalties={"gradient": GradientPenalty(10.0)}),
}


def draws(size):
    """A draw of each kind for a batch of this size, and its dimension."""
    ones = torch.ones(size, 3)
    return {
        "randn": torch.randn(size, 3),
        "rand": torch.rand(size, 1, 1, 1),
        "randint": torch.randint(-2, 3, (size, 1)),
        "like": torch.rand_like(torch.zeros(size, 1, 4, 4)),
        "within": torch.empty(size, 5).exponential_(),
        "bernoulli": torch.bernoulli(0.3 * ones),
        "normal": torch.normal(0 * ones, ones),
        "dropout": nn.functional.dropout(ones, 0.4),
        "of a batch": Categorical(ones).sample(),
        "of a prior": Categorical(torch.ones(5)).sample((size,)),
        "gamma": Gamma(ones, ones).sample(),
        "several an image": Normal(0 * ones, ones).rsample((5,)).transpose(0, 1),
    }


def shared_draws():
    torch.manual_seed(0)
    with WholeBatch(SHARE):
        mine = draws(SHARE)
        alike, apart = torch.randn(3), torch.randn(2 * SHARE)
    return {"mine": mine, "alike": alike, "apart": apart, "state": torch.get_rng_state()}


def normalised(layer, x, rows):
    """What a layer makes of images, and the derivatives of a function of that, the second too."""
    factor = x.flip(0)[rows].sin()
    x = x[rows].clone().requires_grad_()
    made = layer(x)
    (slope,) = torch.autograd.grad((made * factor).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((slope.square() * factor).sum(), x)
    found = {"made": made, "slope": slope, "second": second}
    return {key: value.detach() for key, value in found.items()}


def layer_and_images():
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(3).double()
    layer.weight.data.uniform_(0.5, 2)
    return layer, 3 + torch.randn(WHOLE, 3, 2, 2, dtype=torch.float64)


def shared_norm():
    layer, x = layer_and_images()
    rows = slice(SHARE * processes.rank(), SHARE * (processes.rank() + 1))
    with WholeBatch(SHARE):
        found = normalised(layer, x, rows)
    return found | {"state": layer.state_dict()}


def refused(work):
    with pytest.raises(UsageError) as error:
        work()
    return str(error.value)


def one_fails():
    if processes.rank() == 1:
        raise UsageError("the second cannot")
    return 1


def work(folder):
    processes.join(gpu=False)
    models = {name: train() for name, train in FAMILIES.items()}
    found = {name: m.state_dict() | {"history": m.history} for name, m in models.items()}
    found["draws"], found["norm"] = shared_draws(), shared_norm()
    found["own state"] = refused(partial(trained, Remembering))
    found["one fails"] = refused(lambda: processes.gathered(one_fails))
    found["gathered"] = processes.gathered(lambda: processes.rank())
    found["by first"] = processes.by_first(lambda: processes.rank() + 10)
    found["shares"] = [list(processes.share(total)) for total in (5, 1)]
    found["largest"] = processes.largest(processes.rank())
    torch.save(found, folder / f"{processes.rank()}.pt")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each process has found."""
    return found_by_two(work, tmp_path_factory.mktemp("devices"))


@pytest.mark.parametrize("name", FAMILIES)
def test_two_processes_have_the_loss_curve_and_the_weights_of_one(both, name):
    """In float64: the sum over a batch is taken in two parts, and nothing else differs.

    The tolerance of the curves is the rounding of what is logged, in float32. That of the weights
    is wide for one kind alone: a bias that batch normalisation takes out again has a gradient of
    nothing but rounding, 1e-17, which Adam divides by 1e-8.
    """
    one = FAMILIES[name]()
    for curve in (found[name].pop("history") for found in both):
        assert len(curve) == len(one.history) == STEPS + 2
        for here, there in zip(one.history, curve, strict=True):
            assert here.keys() == there.keys()
            for key in here.keys() - {"seconds"}:
                assert there[key] == pytest.approx(here[key], rel=3e-7), key
    for found in both:
        for key, value in one.state_dict().items():
            torch.testing.assert_close(found[name][key], value, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_processes_end_with_the_same_weights_bit_for_bit(both, name):
    first, second = ({**found[name], "history": None} for found in both)
    assert all(torch.equal(first[key], second[key]) for key in first.keys() - {"history"})


def test_each_process_draws_its_rows_of_what_one_would_draw(both):
    torch.manual_seed(0)
    whole = draws(WHOLE)
    for rank, found in enumerate(both):
        for name, mine in found["draws"]["mine"].items():
            rows = whole[name][SHARE * rank : SHARE * (rank + 1)]
            assert torch.equal(mine, rows), name
    torch.randn(3)
    torch.randn(2 * WHOLE)
    assert all(torch.equal(found["draws"]["state"], torch.get_rng_state()) for found in both)


def test_what_belongs_to_no_image_is_drawn_alike_and_what_may_is_not(both):
    first, second = (found["draws"] for found in both)
    assert torch.equal(first["alike"], second["alike"])
    assert not set(first["apart"].tolist()) & set(second["apart"].tolist())


def test_torchs_functions_that_draw_are_known_by_its_own_tag():
    wanted = {"randn", "rand_like", "normal_", "multinomial", "bernoulli", "dropout", "randint"}
    assert wanted <= whole_batch.draws()
    assert not {"zeros", "linear", "batch_norm"} & whole_batch.draws()


def test_batch_normalisation_has_the_moments_of_the_whole_batch(both):
    layer, x = layer_and_images()
    whole = normalised(layer, x, slice(None))
    for rank, found in enumerate(both):
        rows = slice(SHARE * rank, SHARE * (rank + 1))
        for key, value in whole.items():
            torch.testing.assert_close(found["norm"][key], value[rows], rtol=1e-12, atol=1e-12)
        for key, value in layer.state_dict().items():
            torch.testing.assert_close(found["norm"]["state"][key], value)


def test_a_model_that_keeps_a_state_of_its_batches_is_refused(both):
    assert all("differs between the processes" in found["own state"] for found in both)


def test_what_processes_tell_each_other(both):
    assert [found["one fails"] for found in both] == ["the second cannot"] * 2
    assert [found["gathered"] for found in both] == [[0, 1]] * 2
    assert [found["by first"] for found in both] == [10] * 2
    assert [found["largest"] for found in both] == [1] * 2
    assert [found["shares"] for found in both] == [[[0, 1], []], [[2, 3, 4], [0]]]
