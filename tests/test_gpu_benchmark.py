"""The benchmark for a GPU, as far as it can be held without one."""

import json
import math
import subprocess
import sys
from functools import partial
from itertools import product

import pytest
import torch
from torch import nn

from gen_models.models import GAN, VAE
from gen_models.networks import MLPGenerator, MLPTrunk

from .conftest import REPOSITORY

SPEED = REPOSITORY / "benchmarks" / "speed"
SMALL = {
    "shape": (1, 4, 4),
    "latent_dim": 2,
    "generator": partial(MLPGenerator, hidden=(8,)),
    "trunk": partial(MLPTrunk, hidden=(4,)),
    "optimizer": partial(torch.optim.Adam, lr=1e-3),
}


@pytest.fixture
def device(monkeypatch):
    monkeypatch.syspath_prepend(SPEED)
    import device

    return device


def test_a_linear_layer_has_as_many_operations_as_by_hand(device):
    layer, x = nn.Linear(5, 7), torch.zeros(3, 5)
    assert device.operations(lambda: layer(x)) == 2 * 3 * 5 * 7
    assert device.operations(lambda: layer(x).sum().backward()) == 2 * 2 * 3 * 5 * 7
    x.requires_grad_()
    assert device.operations(lambda: layer(x).sum().backward()) == 3 * 2 * 3 * 5 * 7


def test_an_iteration_has_as_many_operations_as_by_hand(device):
    """Forward, gradient of the weights, and of what comes in where that was computed."""
    encoder, decoder = [16 * 4, 4 * 4], [2 * 8, 8 * 16]
    vae = 2 * (2 * encoder[0] + 3 * encoder[1] + 3 * sum(decoder))
    assert device.operations_per_image("vae", VAE(**SMALL)) == vae
    critic = [16 * 4, 4 * 1]
    first = sum(decoder) + 2 * (2 * critic[0] + 3 * critic[1])
    # No gradient of the critic's weights, and none of the latents.
    second = 2 * decoder[0] + 3 * decoder[1] + 2 * sum(critic)
    assert device.operations_per_image("gan", GAN(**SMALL, ema_half_life=10)) == 2 * (
        first + second
    )


@pytest.mark.parametrize(
    ("intervals", "length"),
    [
        ([], 0),
        ([(0, 1), (1, 2)], 2),
        ([(3, 4), (0, 2), (1, 2)], 3),
        ([(0, 9), (1, 2), (8, 10)], 10),
    ],
)
def test_time_with_a_kernel_is_counted_once(device, intervals, length):
    assert device.covered(intervals) == length


def test_a_peak_is_known_for_some_devices_and_told_of_no_other(device):
    assert device.peak("NVIDIA H100 80GB HBM3", "bf16-mixed") == 989.4e12
    assert device.peak("NVIDIA A100-SXM4-80GB", "32-true") == 156e12
    assert device.peak("NVIDIA GeForce GTX 1080", "32-true") is None


def test_a_loss_that_is_no_number_agrees_with_none(device):
    from gpu import TOLERANCE, difference

    numbers = [{"generator": 1.0, "discriminator": 2.0}, {"generator": 0.5, "discriminator": 4.0}]
    assert difference(numbers, numbers) == 0
    for place, name in product(range(2), numbers[0]):
        broken = [dict(row) for row in numbers]
        broken[place][name] = math.nan
        assert not difference(broken, numbers) <= TOLERANCE
        assert not difference(numbers, broken) <= TOLERANCE


def test_a_side_that_fails_costs_its_case_and_is_told(tmp_path):
    command = [sys.executable, SPEED / "gpu.py", "--quick", "--no-evaluation", "--models", "vae"]
    record = tmp_path / "record.json"
    chosen = ["--sides", "eager", "--out", record, "model.latent_dim=0"]
    done = subprocess.run([*command, *chosen], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    (failed,) = json.loads(record.read_text())["failed"]
    assert failed.startswith("vae mlp 64: eager: Traceback")
    assert "model.latent_dim must be 1 or more, not 0" in failed


def test_the_smallest_of_it_runs_without_a_gpu(tmp_path):
    command = [sys.executable, SPEED / "gpu.py", "--quick", "--no-evaluation", "--turns", "1"]
    record = tmp_path / "record.json"
    chosen = ["--models", "vae", "--sides", "bare loop", "eager", "--seconds", "0.01"]
    done = subprocess.run([*command, *chosen, "--out", record], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "vae mlp 64" in done.stdout
    (case,) = json.loads(record.read_text())["cases"]
    assert list(case["sides"]) == ["bare loop", "eager"]
    losses = case["sides"]["eager"]["losses"]
    assert len(losses) == 10
    assert losses[-1]["vae"] < losses[0]["vae"]
    assert all(second > 0 for second in case["sides"]["bare loop"]["seconds"])
