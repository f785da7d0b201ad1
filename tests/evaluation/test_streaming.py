"""Metrics for anyone's loop, against the same distances of all features at once."""

import copy
import pickle
from datetime import timedelta

import pytest
import pytorch_lightning as pl
import torch
from torch import distributed
from torchmetrics import MetricCollection
from torchmetrics.image.fid import FrechetInceptionDistance

from gen_models.data.ranges import quantise
from gen_models.errors import UsageError
from gen_models.evaluation.extractors.features import Features
from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.evaluation.statistics.frechet import Moments, frechet_distance, frechet_estimate
from gen_models.evaluation.streaming import FeatureMetric, FrechetDistance


class Linear(torch.nn.Module):
    """A small extractor with weights, whose noise in training mode would show."""

    def __init__(self, dimension=8):
        super().__init__()
        self.weights = torch.nn.Linear(16, dimension)
        self.dropout = torch.nn.Dropout()

    def forward(self, pixels):
        return Features(self.dropout(self.weights(pixels.flatten(1))), None)


def flat(pixels):
    """Pixels as features."""
    return pixels.flatten(1)


def images(count, seed=0, power=1.0):
    generator = torch.Generator().manual_seed(seed)
    return quantise(torch.rand(count, 1, 4, 4, generator=generator) ** power)


REAL, FAKE = images(230), images(190, seed=1, power=1.5)


def streamed(metric, real=REAL, fake=FAKE, size=64):
    for batch in real.split(size):
        metric.update(batch, real=True)
    for batch in fake.split(size) if len(fake) else ():
        metric.update(batch, real=False)
    return metric


def at_once(real=REAL, fake=FAKE, extractor=flat):
    return frechet_distance(Moments.of(extractor(real)), Moments.of(extractor(fake)))


def gap(*, real, fake):
    """The mean difference of two sets, as an instrument gives it."""
    return Estimate((real.mean() - fake.mean()).item(), 0.1)


@pytest.mark.parametrize("size", [1, 7, 64, 230])
def test_batches_do_not_matter(size, monkeypatch):
    monkeypatch.setattr("gen_models.evaluation.streaming.block_length", lambda dimension: 50)
    metric = streamed(FrechetDistance(flat), size=size)
    assert metric.compute().dtype == torch.float64
    assert metric.compute().item() == pytest.approx(at_once(), rel=1e-10)
    assert sum(map(len, metric.real)) <= 50, "the state does not grow"


def test_features_are_kept_for_any_function():
    real, fake = flat(REAL), flat(FAKE)
    metric = streamed(FeatureMetric(flat, gap))
    assert metric.compute().item() == pytest.approx((real.mean() - fake.mean()).item())
    plain = streamed(FeatureMetric(flat, lambda *, real, fake: real.sum() / fake.sum()))
    torch.testing.assert_close(plain.compute(), real.sum() / fake.sum())
    with_error = FeatureMetric(
        flat, lambda *, real, fake: frechet_estimate(real=Moments.of(real), fake=fake).error
    )
    expected = frechet_estimate(real=Moments.of(real), fake=fake).error
    assert streamed(with_error).compute().item() == pytest.approx(expected, rel=1e-6)


def process(rank, folder):
    """One of two: unequal batches, and once one that sees no sample at all."""
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=2,
        timeout=timedelta(minutes=2),
    )
    try:
        mine = slice(None, 150) if rank == 0 else slice(150, None)
        metrics = {
            "frechet": streamed(FrechetDistance(flat), REAL[mine], FAKE[mine], 13 + 20 * rank),
            "gap": streamed(FeatureMetric(flat, gap), REAL[mine], FAKE[mine], 13 + 20 * rank),
            "idle": streamed(FrechetDistance(flat), REAL[mine], FAKE if rank else FAKE[:0]),
        }
        values = {name: metric.compute().item() for name, metric in metrics.items()}
        # What a process holds of its own comes back after the exchange.
        values["own"] = sum(map(len, metrics["gap"].real))
    finally:
        distributed.destroy_process_group()
    torch.save(values, f"{folder}/rank{rank}")


@pytest.mark.skipif(not distributed.is_available(), reason="torch without distributed")
def test_two_processes_give_the_number_of_one(tmp_path):
    other = torch.multiprocessing.get_context("spawn").Process(target=process, args=(1, tmp_path))
    other.start()
    process(0, tmp_path)
    other.join()
    for rank, own in ((0, 150), (1, 80)):
        values = torch.load(tmp_path / f"rank{rank}")
        assert values["frechet"] == pytest.approx(at_once(), abs=1e-10)
        assert values["idle"] == pytest.approx(at_once(), abs=1e-10)
        assert values["gap"] == pytest.approx((REAL.mean() - FAKE.mean()).item(), abs=1e-6)
        assert values["own"] == own


class Identity(torch.nn.Module):
    """Takes features for images, for torchmetrics."""

    def __init__(self, dimension=16):
        super().__init__()
        self.num_features = dimension

    def forward(self, images):
        return images.flatten(1)


@pytest.mark.filterwarnings("ignore")
def theirs(real, fake):
    metric = FrechetInceptionDistance(feature=Identity(real.flatten(1).shape[1]))
    return streamed(metric, real, fake).compute()


def test_torchmetrics_gives_the_same_number_where_it_is_right():
    assert theirs(REAL, FAKE).item() == pytest.approx(at_once(), rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_torch_fidelity_gives_the_same_number():
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = [fid_features_to_statistics(flat(x).double()) for x in (REAL, FAKE)]
    value = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    mine = streamed(FrechetDistance(flat)).compute().item()
    assert mine == pytest.approx(value, rel=1e-9)


def offset(pixels):
    """Features far from 0, as the last layers of some networks give them."""
    return pixels.flatten(1) + 1000


def test_what_torchmetrics_gets_wrong_is_right_here():
    """Rounding of the result, and the square root of rounding where N <= D."""
    few, others = REAL[:10], REAL[:10].flip(0)
    mine = streamed(FrechetDistance(flat), few, others).compute().item()
    assert abs(mine) < 1e-13
    assert abs(theirs(few, others).item()) > 1e-9
    assert theirs(REAL, FAKE).dtype == torch.float32
    # (N - 1) C = sum x x^T - N m m^T cancels; its error is one of the features' offset, squared.
    far = streamed(FrechetDistance(offset)).compute().item()
    seen = [offset(x.double()).view(-1, 1, 4, 4) for x in (REAL, FAKE)]
    expected = at_once(extractor=lambda x: offset(x).double())
    assert far == pytest.approx(expected, rel=1e-11)
    assert abs(theirs(*seen).item() / at_once(*seen) - 1) > 1e-10


def test_features_that_are_not_finite_are_refused_at_once():
    metric = FrechetDistance(lambda pixels: flat(pixels) / (flat(pixels) - 0.2))
    batch = torch.full((5, 1, 4, 4), 0.6)
    batch[3, 0, 1, 1] = 0.2
    with pytest.raises(UsageError, match="image 3 has features that are not finite"):
        metric.update(batch, real=True)
    # torchmetrics goes on with them, and some processors' LAPACK ends the whole process then.


def test_bytes_and_floats_are_the_same_images():
    levels = (REAL * 255).round().to(torch.uint8)
    value = streamed(FrechetDistance(flat), levels, FAKE).compute()
    assert value.item() == pytest.approx(at_once(), rel=1e-10)
    nearly = (REAL + 0.3 / 255).clamp(0, 1)
    assert streamed(FrechetDistance(flat), nearly, FAKE).compute() == value


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (REAL * 2 - 1, r"image 0 of the batch leaves \[0, 1\]"),
        (torch.cat([REAL[:2], REAL[:1] + 1]), r"image 2 of the batch leaves \[0, 1\]"),
        (torch.full((1, 1, 4, 4), float("nan")), r"image 0 of the batch leaves \[0, 1\]"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.int64), "images are torch.int64; give uint8"),
        (torch.zeros(2, 4, 4), r"shape \(2, 4, 4\); give \(B, C, H, W\)"),
    ],
)
def test_what_is_no_image_is_refused(bad, message):
    with pytest.raises(UsageError, match=message) as error:
        FrechetDistance(flat).update(bad, real=True)
    assert "\n" not in str(error.value)


def test_extractors_and_sides_that_are_wrong_are_named():
    with pytest.raises(UsageError, match=r"gives \(230, 1, 4, 4\) for 230 images"):
        FrechetDistance(lambda pixels: pixels).update(REAL, real=True)
    metric = FrechetDistance(flat)
    metric.update(REAL, real=True)
    with pytest.raises(UsageError, match=r"no fake images; call .*real=False"):
        metric.compute()
    metric.update(FAKE[:1], real=False)
    with pytest.raises(UsageError, match="2 images or more, not 1"):
        metric.compute()


def test_real_images_can_be_kept():
    metric = streamed(FrechetDistance(flat, reset_real_features=False))
    metric.reset()
    metric.update(FAKE[:50], real=False)
    assert metric.compute().item() == pytest.approx(at_once(fake=FAKE[:50]), rel=1e-10)
    plain = streamed(FeatureMetric(flat, gap))
    plain.reset()
    assert plain.real == plain.fake == []


def test_a_call_updates_and_two_metrics_merge():
    metric = FrechetDistance(flat)
    metric(REAL, real=True)
    metric(FAKE[:100], real=False)
    other = FrechetDistance(flat)
    other(FAKE[100:], real=False)
    metric.merge_state(other)
    assert metric.compute().item() == pytest.approx(at_once(), rel=1e-10)


def test_metrics_go_together_and_are_copied():
    both = MetricCollection({"fid": FrechetDistance(flat), "gap": FeatureMetric(flat, gap)})
    values = streamed(both).compute()
    assert values["fid"].item() == pytest.approx(at_once(), rel=1e-10)
    metric = streamed(FrechetDistance(Linear()))
    for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert twin.compute() == metric.compute()


class Loop(pl.LightningModule):
    """A user's own: one weight, and the metric logged as Lightning does."""

    def __init__(self, extractor):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.distance = FrechetDistance(extractor)

    def training_step(self, batch, index):
        return self.weight.square().sum()

    def validation_step(self, batch, index):
        real, fake = batch
        self.distance.update(real, real=True)
        self.distance.update(fake, real=False)
        self.log("fid", self.distance)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_in_a_lightning_module(tmp_path):
    """The extractor is out of state and parameters, and works in float32 and evaluation mode."""
    extractor = Linear().train()
    loop = Loop(extractor)
    assert list(loop.state_dict()) == ["weight"]
    assert len(list(loop.parameters())) == 1
    pairs = list(zip(REAL[:180].split(45), FAKE[:180].split(45), strict=True))
    trainer = pl.Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        precision="bf16-mixed",
        accelerator="cpu",
        default_root_dir=tmp_path,
    )
    loader = torch.utils.data.DataLoader(pairs, batch_size=None)
    [values] = trainer.validate(loop, loader, verbose=False)
    assert extractor.training
    with torch.no_grad():
        seen = [copy.deepcopy(extractor).eval()(x[:180]).features for x in (REAL, FAKE)]
    expected = frechet_distance(*map(Moments.of, seen))
    assert values["fid"] == pytest.approx(expected, rel=1e-5)
