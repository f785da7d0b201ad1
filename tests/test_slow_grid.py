"""Which objectives cover 25 broad Gaussians, trained for real: `pytest -m slow`."""

import itertools

import pytest
import torch

from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.models import GAN

from .test_configs import composed

pytestmark = pytest.mark.slow

CENTRES = list(itertools.product((0.1, 0.3, 0.5, 0.7, 0.9), repeat=2))
DEVIATION = 0.02
# At 10, the default, the penalty outweighs distances of points so close: no mode is found.
OWN = {"wgan_gp": ["model.penalties.gradient.weight=0.1"]}


def covered(points):
    """Modes with a sample within 3 deviations of their centres, and the share of such samples."""
    modes, good = set(), 0
    for point in points:
        distances = [sum((a - b) ** 2 for a, b in zip(point, c, strict=True)) for c in CENTRES]
        nearest = min(distances)
        if nearest < (3 * DEVIATION) ** 2:
            good += 1
            modes.add(distances.index(nearest))
    return len(modes), good / len(points)


def trained(name, seed, folder):
    quick = ["evaluate=false", "checks=1", "logger=none", "trainer.enable_progress_bar=false"]
    config = composed(
        "experiment=grid", f"model={name}", f"seed={seed}", *quick, *OWN.get(name, [])
    )
    run(RunConfig(**config), folder, name, "")
    return GAN.load_from_checkpoint(folder / "checkpoints/last.ckpt", weights_only=True)


def test_a_perfect_sampler_has_all_modes_and_98_89_percent_of_high_quality():
    torch.manual_seed(0)
    centres = torch.tensor(CENTRES)[torch.randint(25, (10_000,))]
    modes, share = covered((centres + DEVIATION * torch.randn(10_000, 2)).tolist())
    assert modes == 25
    assert share == pytest.approx(0.9889, abs=0.004)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["gan", "lsgan", "wgan_gp", "r3gan"])
def test_the_grid_is_covered(name, seed, tmp_path):
    model = trained(name, seed, tmp_path / "run")
    samples = model.sample(2500, torch.Generator().manual_seed(0)).flatten(1)
    modes, share = covered(samples.tolist())
    print(f"{name}, seed {seed}: {modes} modes, {share:.3f} of high quality")
    assert modes >= 23
    assert share >= 0.6
