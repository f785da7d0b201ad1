"""The watch: what it must see, what it must not, once, with a remedy, and kept in the record."""

import warnings
from functools import partial

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from gen_models.models import GAN, VAE
from gen_models.networks import ConvGenerator
from gen_models.objectives import Hinge, LeastSquares, NonSaturating, Relativistic, Wasserstein
from gen_models.records import Event
from gen_models.training.watch import Collapse, Saturation, Seen, Watch, spread
from tests.models.conftest import SHAPE, parts, quiet_trainer


@pytest.fixture
def images():
    torch.manual_seed(1)
    return DataLoader(TensorDataset(torch.rand(48, *SHAPE)), batch_size=16)


class Constant(torch.nn.Module):
    """A generator that shows every latent next to the same image."""

    def __init__(self, latent_dim, shape, scale=0.0):
        super().__init__()
        self.shape, self.scale = shape, scale
        self.image = torch.nn.Parameter(torch.zeros(shape))

    def forward(self, z):
        return self.image + self.scale * z[:, :1, None, None]


def fitted(model, images, folder, rules=None, **options):
    watch = Watch() if rules is None else Watch(rules)
    quiet_trainer(folder, callbacks=[watch], **options).fit(model, images, images)
    return model


def silent(model, images, folder, *rules, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return fitted(model, images, folder, rules or None, **options).events


@pytest.mark.parametrize(("family", "remedy"), [(VAE, "optimizer.lr"), (GAN, "packing=2")])
def test_samples_that_are_all_alike_are_told_of_once(family, remedy, images, tmp_path):
    model = family(**{**parts(), "generator": Constant})
    with pytest.warns(UserWarning, match=f"collapse of samples at 96 images.*{remedy}") as told:
        fitted(model, images, tmp_path, [Collapse()], max_epochs=4)
    assert sum("collapse" in str(warning.message) for warning in told) == 1
    [event] = model.events
    assert (event["images"], event["kind"]) == (96, "collapse of samples")
    assert Event(**event).text.startswith("samples are 0.0%")


@pytest.mark.parametrize(("scale", "told"), [(0.02, 1), (0.3, 0)])
def test_the_bound_is_a_tenth_of_the_distance_of_real_images(scale, told):
    """Real noise of 64 pixels lies sqrt(64 / 6) apart, these samples 8 x 1.128 x scale / 2."""
    torch.manual_seed(0)
    model = GAN(**{**parts(), "generator": partial(Constant, scale=scale)})
    real = torch.rand(64, *SHAPE)
    assert spread(real) == pytest.approx((64 / 6) ** 0.5, rel=0.02)
    assert spread(model.sample(64)) == pytest.approx(8 * 1.128 * scale / 2, rel=0.2)
    assert bool(Collapse()(Seen(model, [], real))) == bool(told)


def test_the_same_latents_are_looked_at_each_time_and_nothing_is_drawn_from_the_global_state():
    model = GAN(**parts())
    state = torch.random.get_rng_state()
    seen = Seen(model, [], torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(0)))
    assert Collapse(share=1e9)(seen) == Collapse(share=1e9)(seen)
    assert torch.equal(torch.random.get_rng_state(), state)


def rows(apart, loss):
    names = {"told_apart": apart, "game": loss}
    return [{"images": 1.0, **{f"train/discriminator/{k}": v for k, v in names.items()}}]


@pytest.mark.parametrize(
    ("objective", "equal"),
    [
        (NonSaturating(), 1.386),
        (Hinge(), 2.0),
        (LeastSquares(), 0.5),
        (Relativistic(), 0.693),
    ],
)
def test_saturation_is_measured_against_the_loss_of_equal_logits(objective, equal):
    model = GAN(**parts(), objective=objective)
    rule = Saturation()

    def seen(apart, loss):
        return rule(Seen(model, rows(apart, loss), torch.zeros(0)))

    assert f"equal logits cost {equal:.2g}" in seen(1.0, 0.049 * equal)
    assert seen(1.0, 0.051 * equal) is None
    assert seen(0.98, 0.0) is None
    assert rule(Seen(model, [{"images": 1.0}], torch.zeros(0))) is None


def test_a_game_without_end_and_a_model_without_game_are_left_alone():
    for model in (GAN(**parts(), objective=Wasserstein()), VAE(**parts())):
        assert Saturation()(Seen(model, rows(1.0, -5.0), torch.zeros(0))) is None
        assert Saturation()(Seen(model, rows(1.0, 0.0), torch.zeros(0))) is None


def test_the_interval_counts_and_not_its_last_row():
    model = GAN(**parts())
    early, late = rows(0.9, 0.5), rows(1.0, 0.0)
    assert Saturation()(Seen(model, early + late, torch.zeros(0))) is None
    assert Saturation()(Seen(model, late + late, torch.zeros(0))) is not None


def test_an_overpowered_discriminator_is_told_of_and_an_equal_one_is_not(images, tmp_path):
    """Dark generated images against bright ones: the discriminator cannot but win."""
    bright = DataLoader(TensorDataset(torch.full((48, *SHAPE), 0.9)), batch_size=16)
    slow = partial(torch.optim.SGD, lr=1e-9)
    fast = partial(torch.optim.Adam, lr=3e-2)
    game = {**parts(), "optimizer": slow, "discriminator_optimizer": fast}
    model = GAN(**game)
    with pytest.warns(UserWarning, match="discriminator saturation.*model/penalties=r1") as told:
        fitted(model, bright, tmp_path, [Saturation()], max_epochs=12)
    assert sum("saturation" in str(warning.message) for warning in told) == 1
    assert [event["kind"] for event in model.events] == ["discriminator saturation"]
    assert silent(GAN(**parts()), images, tmp_path, Saturation(), Collapse(), max_epochs=6) == []


def test_once_is_no_trouble_and_a_row_may_break():
    """Seen at the first, third and fourth validation: told of at the fourth."""

    class Now:
        kind = "trouble"

        def __init__(self):
            self.answers = iter(["yes", None, "yes", "yes"])

        def __call__(self, seen):
            return next(self.answers)

    class Module:
        diverged, history, images_seen, told = None, [], 0, ()

        def tell(self, kind, text):
            self.told = (*self.told, self.images_seen)

    class Trainer:
        sanity_checking = False

    watch, module = Watch([Now()]), Module()
    watch._real = torch.zeros(1)
    for module.images_seen in (10, 20, 30, 40):
        watch.on_validation_end(Trainer(), module)
    assert module.told == (40,)


def test_the_sanity_check_is_not_looked_at(images, tmp_path):
    model = VAE(**{**parts(), "generator": Constant})
    assert silent(model, images, tmp_path, Collapse(), num_sanity_val_steps=2, max_epochs=1) == []


def test_events_survive_a_checkpoint_and_are_not_told_of_again(images, tmp_path):
    model = VAE(**{**parts(), "generator": Constant})
    trainer = quiet_trainer(tmp_path, callbacks=[Watch([Collapse()])], max_epochs=2)
    with pytest.warns(UserWarning, match="collapse of samples"):
        trainer.fit(model, images, images)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    stored = torch.load(tmp_path / "a.ckpt", weights_only=True)
    again = VAE(**{**parts(), "generator": Constant})
    again.restore(stored)
    assert again.events == model.events != []
    assert silent(again, images, tmp_path, Collapse(), max_epochs=3) == model.events
    del stored["events"]  # as in a checkpoint of an older version
    again.restore(stored)
    assert again.events == []


def test_a_run_that_is_not_finite_is_told_of_once_and_judged_no_more(images, tmp_path):
    torch.manual_seed(0)
    model = VAE(**{**parts(), "optimizer": partial(torch.optim.SGD, lr=1e30)})
    with pytest.warns(UserWarning, match=r"divergence at .*lower model\.optimizer\.lr") as told:
        fitted(model, images, tmp_path, max_epochs=5)
    assert [event["kind"] for event in model.events] == ["divergence"]
    assert sum("divergence" in str(warning.message) for warning in told) == 1
    assert model.diverged == "train/vae/loss was not finite at 32 images (epoch 0, batch 1)"


def test_pixels_are_compared_however_the_model_scales_them(images, tmp_path):
    from gen_models.data.ranges import Scaler

    watch = Watch([])
    model = VAE(**parts(), scaler=Scaler([0.0], [0.25]))
    quiet_trainer(tmp_path, callbacks=[watch], max_epochs=1).fit(model, images, images)
    torch.testing.assert_close(watch._real, images.dataset.tensors[0][:16] / 4)


def test_a_small_generator_of_noise_is_no_collapse():
    model = GAN(**{**parts(), "generator": partial(ConvGenerator, width=4)})
    assert Collapse(share=1e-6)(Seen(model, [], torch.rand(16, *SHAPE))) is None


def test_a_resumed_watch_tells_when_one_never_stopped_does(images, tmp_path):
    """Seen at 48 and at 96 images: told of at 96, the run cut between them or not."""
    model = GAN(**{**parts(), "generator": Constant})
    fitted(model, images, tmp_path, [Collapse()], max_epochs=1)
    assert model.events == []
    model.trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed = GAN(**{**parts(), "generator": Constant})
    trainer = quiet_trainer(tmp_path, callbacks=[Watch([Collapse()])], max_epochs=2)
    with pytest.warns(UserWarning, match="collapse of samples at 96 images"):
        trainer.fit(resumed, images, images, ckpt_path=tmp_path / "half.ckpt")


def test_games_beside_another_teacher_are_judged_too():
    model = GAN(**parts(), objective=Wasserstein())
    model.adversarial = NonSaturating()  # as hybrids name theirs
    text = Saturation()(Seen(model, rows(1.0, 1e-5), torch.zeros(0)))
    assert "equal logits cost 1.4" in text
    model.to("meta")
    model.adversarial = Hinge()
    with pytest.raises(RuntimeError, match="meta"):  # asked where the model is
        Saturation()(Seen(model, rows(1.0, 1e-5), torch.zeros(0)))
