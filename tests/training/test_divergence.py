"""A loss that is not finite: which turn it was, what is kept, and what is left as it was."""

import pytest
import torch
from safetensors import safe_open

from gen_models.app import run
from gen_models.data import Digits
from gen_models.errors import Diverged
from gen_models.models import GAN, VAE
from gen_models.models.gathered import Gathered, Turn
from gen_models.processes import count, rank
from gen_models.records import Record
from tests.test_run import config

# (model, its class, method that gives the loss, phase); quick runs show 2,000 images, 64 a batch,
# of 1,293: iteration 25 is batch 4 of epoch 1.
PHASES = [
    ("vae", VAE, "loss", "vae"),
    ("gan", GAN, "discriminator_loss", "discriminator"),
    ("gan", GAN, "generator_loss", "generator"),
]


@pytest.mark.parametrize(("name", "family", "method", "phase"), PHASES)
def test_the_turn_and_its_batch_are_kept_and_the_last_good_weights_stay(
    name, family, method, phase, monkeypatch, tmp_path
):
    shown = []
    honest = getattr(family, method)

    def poisoned(self, x, *rest):
        values = honest(self, x, *rest)
        if self.training and self.trainer.training:
            shown.append(x.clone())
            if self.iterations == 24:  # once, and finite again afterwards
                values["loss"] = values["loss"] * float("nan")
        return values

    monkeypatch.setattr(family, method, poisoned)
    folder = tmp_path / "run"
    place = rf"train/{phase}/loss was not finite at 1600 images \(epoch 1, batch 4\)"
    with pytest.warns(UserWarning, match="divergence at"), pytest.raises(Diverged, match=place):
        run(config(f"model={name}", "checks=2"), folder, name, "")
    assert Record.read(folder / "record.json").status == "diverged"
    kept, told = kept_in(folder)
    assert told == {"phase": phase, "epoch": "1", "batch": "4", "images": "1600"}
    data = Digits()
    data.setup()
    everything, _ = data.load()
    for suffix, seen in (("", shown[24]), ("_before", shown[23])):
        assert torch.equal(kept[f"images{suffix}"], seen)
        stored = everything.images[kept[f"indices{suffix}"].long()]
        assert torch.equal(data.scaler(stored.float() / 255), seen)
        assert torch.equal(kept[f"labels{suffix}"], everything.labels[kept[f"indices{suffix}"]])
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert last["images_seen"] == 1024  # the validation before
    assert all(v.isfinite().all() for v in last["state_dict"].values())


def kept_in(folder):
    """Tensors and metadata of the file that is left to look into."""
    with safe_open(folder / "diverged.safetensors", framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


class Poisoned(GAN):
    """The loss of the last process is NaN once; the gradients' mean takes it to the others."""

    def discriminator_loss(self, x, *rest):
        values = super().discriminator_loss(x, *rest)
        if self.trainer.training and self.iterations == 24 and rank() == count() - 1:
            values["loss"] = values["loss"] * float("nan")
        return values


@pytest.mark.filterwarnings("ignore:divergence at")
@pytest.mark.parametrize("every", [50, 1])
def test_the_batch_is_kept_where_the_share_of_another_process_broke(every, tmp_path):
    target = "model._target_=tests.training.test_divergence.Poisoned"
    words = "model=gan", target, "trust=[tests]", "checks=2", f"trainer.log_every_n_steps={every}"
    place = r"train/discriminator/loss was not finite at 1600 images \(epoch 1, batch 4\)"
    for devices in (1, 2):
        made = config(*words, f"trainer.devices={devices}")
        with pytest.raises(Diverged, match=place):
            run(made, tmp_path / str(devices), "gan", "")
    one, two = (kept_in(tmp_path / str(devices)) for devices in (1, 2))
    assert one[1] == two[1]
    assert one[0].keys() == two[0].keys()
    assert all(torch.equal(one[0][key], two[0][key]) for key in one[0])


def test_the_first_of_an_interval_is_named_though_later_ones_are_finite():
    gathered = Gathered()
    for index, value in enumerate([1.0, float("inf"), 2.0, float("nan")]):
        gathered.add(Turn("one", 0, index, index + 1), {"loss": torch.tensor(value)})
    gathered.add(Turn("two", 0, 0, 1), {"loss": torch.tensor(3.0), "term": torch.tensor(torch.nan)})
    assert gathered.broken() == Turn("one", 0, 1, 2)
    names, means = gathered.means()
    assert means[names.index("train/two/loss")] == 3.0
    gathered.clear()
    assert not gathered
    gathered.add(Turn("two", 0, 1, 2), {"loss": torch.tensor(3.0), "term": torch.tensor(torch.nan)})
    assert gathered.broken() is None


def test_weights_that_are_not_finite_are_found_before_they_are_saved(monkeypatch, tmp_path):
    """A gradient may break them in the step before a validation: no loss has shown it yet."""
    honest = VAE.after_iteration

    def breaks(self, images):
        honest(self, images)
        if self.iterations == 32:  # the last before the second validation
            list(self.parameters())[3].data.fill_(float("inf"))

    monkeypatch.setattr(VAE, "after_iteration", breaks)
    folder = tmp_path / "run"
    with (
        pytest.warns(UserWarning, match="divergence at 2048 images"),
        pytest.raises(Diverged, match="was not finite at 2048 images"),
    ):
        run(config("checks=2"), folder, "vae", "")
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert last["images_seen"] == 1024
