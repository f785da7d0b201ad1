"""Does everything run on the GPU, and give what the CPU gives? `python benchmarks/gpu_check.py`.

One table in a few minutes: of VAE and GAN the losses of the first steps on both devices, training
speed on both, and every measurement of one trained model on both; of each kind of game the losses
on both, in float32 and under bfloat16 autocast, and a few steps with the watch. Needs neither Hydra
nor a download. Without a GPU it compares the CPU with itself, which tests the script.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table

from gen_models.data import Composed, Cutout, Digits, Translation
from gen_models.distributions import ContinuousBernoulli
from gen_models.evaluation import (
    Classes,
    Copies,
    Evidence,
    EvidenceLowerBound,
    FeatureDivergence,
    FrechetDistance,
    Inversion,
    KernelDistance,
    Memorisation,
    Neighbourhoods,
    PathLength,
    PrecisionRecallCurve,
    Probe,
    ProbeTerms,
    RandomConvolutions,
    Reconstruction,
    ShippedClassifier,
    evaluate,
)
from gen_models.models import GAN, VAE, VAEGAN, BiGAN, ConditionalGAN, InfoGAN
from gen_models.networks import AutoencodingTrunk, ConvGenerator, ConvTrunk, JointTrunk
from gen_models.objectives import (
    R1,
    R2,
    BoundaryEquilibrium,
    GradientPenalty,
    Relativistic,
    Wasserstein,
)
from gen_models.training.callbacks import ImageBudget
from gen_models.training.compiled import MODES, Compiled
from gen_models.training.quiet import quiet
from gen_models.training.watch import Watch

IMAGES = 20_000
MEASUREMENTS = [
    FrechetDistance(),
    KernelDistance(),
    FeatureDivergence(),
    Neighbourhoods(),
    PrecisionRecallCurve(),
    Classes(),
    Memorisation(),
    Copies(),
    Reconstruction(),
    ProbeTerms(),
    Inversion(images=16, steps=50),
    EvidenceLowerBound(),
    PathLength(),
]


SPECTRAL = partial(ConvTrunk, spectral=True)
ERRORS = partial(AutoencodingTrunk, trunk=ConvTrunk, generator=partial(ConvGenerator, norm=None))
GAMES = {
    "wgan_gp": partial(GAN, objective=Wasserstein(), penalties={"gradient": GradientPenalty(10.0)}),
    "r3gan": partial(GAN, objective=Relativistic(), penalties={"r1": R1(0.1), "r2": R2(0.1)}),
    "packed": partial(GAN, packing=2, augment=Composed({"move": Translation(), "cut": Cutout()})),
    "cgan": partial(ConditionalGAN, num_classes=10, trunk=SPECTRAL, penalties={"r1": R1(0.1)}),
    "info_gan": partial(InfoGAN, continuous=2),
    "bigan": partial(BiGAN, encoder=ConvTrunk, joint=JointTrunk),
    "vae_gan": partial(VAEGAN, discriminator=SPECTRAL),
    "began": partial(GAN, trunk=ERRORS, objective=BoundaryEquilibrium()),
}


def model(kind: str, data: Digits) -> Any:
    """A model with the weights of seed 0."""
    torch.manual_seed(0)
    shared = {
        "shape": data.shape,
        "scaler": data.scaler,
        "latent_dim": 16,
        "generator": ConvGenerator,
        "trunk": ConvTrunk,
    }
    if kind == "vae":
        adam = partial(torch.optim.Adam, lr=1e-3)
        return VAE(**shared, optimizer=adam, likelihood=ContinuousBernoulli)
    adam = partial(torch.optim.Adam, lr=5e-4, betas=(0.5, 0.999))
    game = GAMES.get(kind, partial(GAN))
    return game.func(**{**shared, "optimizer": adam, "ema_half_life": 5000, **game.keywords})


def first_losses(trained: Any, data: Digits, device: str, half: bool = False) -> list[float]:
    """Losses of all phases on one batch before any step; latents are 1 on both devices.

    Other noise is each device's own: posteriors, augmentation, places of penalties.
    """
    trained = copy.deepcopy(trained).to(device)
    x = data.scaler(data.train.images[:64].float() / 255).to(device)
    labels = data.train.labels[:64].to(device)
    trained.sample_prior = lambda count, generator=None: torch.ones(
        count, trained.latent_dim, device=device
    )
    losses = []
    for phase in trained.phases():
        torch.manual_seed(0)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            loss = phase.values((x, labels))["loss"]
        loss.backward(inputs=list(phase.parameters))
        losses.append(loss.item())
    return losses


def train(
    trained: Any, data: Digits, accelerator: str, images: int = IMAGES, mode: str | None = None
) -> float:
    """Images per second of the project's own training, compiling included if there is a mode."""
    compiled = [] if mode is None else [Compiled(mode)]
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=1,
            max_epochs=-1,
            callbacks=[ImageBudget(images), Watch(), *compiled],
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
        )
        started = time.perf_counter()
        trainer.fit(trained, datamodule=data)
        return trained.images_seen / (time.perf_counter() - started)


def compiled_losses(kind: str, data: Digits, accelerator: str) -> dict[str, tuple[float, float]]:
    """Mean losses of the first 50 iterations on one device: eager ones beside compiled ones."""
    found = {}
    for mode in MODES:
        pair = [model(kind, data), model(kind, data)]
        for one, compile in zip(pair, (None, mode), strict=True):
            torch.manual_seed(1)
            train(one, data, accelerator, images=50 * 64, mode=compile)
        eager, compiled = (one.history[0] for one in pair)
        for key in (key for key in eager if key.endswith("/loss")):
            found[f"{key}, one device: null, {mode}"] = eager[key], compiled[key]
    return found


def measured(trained: Any, data: Digits, device: str) -> dict[str, float | None]:
    """All measurements of a model on a device."""
    evidence = Evidence(
        model=copy.deepcopy(trained).to(device).eval(),
        train=data.train,
        validation=data.validation,
        real=data.test,
        split="test",
        extractors=tuple(
            extractor(data.shape, data.name).to(device)
            for extractor in (ShippedClassifier, RandomConvolutions)
        ),
        samples=1000,
        seed=0,
        device=torch.device(device),
        probe=Probe(partial(ConvTrunk, hidden=[256]), images=5000),
    )
    started = time.perf_counter()
    values = {value.name: value.value for value in evaluate(evidence, MEASUREMENTS)}
    return {**values, "evaluation_seconds": time.perf_counter() - started}


def play(kind: str, gpu: str, row: Callable[[str, str, float, float], None]) -> None:
    """Rows of one of the games, and a short training."""
    data = Digits()
    data.setup()
    fresh = model(kind, data)
    for half in (False, True):
        sides = (first_losses(fresh, data, device, half) for device in ("cpu", gpu))
        for index, (on_cpu, on_gpu) in enumerate(zip(*sides, strict=True)):
            row(kind, f"loss of phase {index}{', bfloat16' * half}", on_cpu, on_gpu)
    train(fresh, data, "gpu" if gpu == "cuda" else "cpu", images=640)


def main() -> None:
    """Print the table."""
    quiet()
    gpu = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if gpu == "cuda" else "no GPU: the CPU against itself"
    table = Table("family", "quantity", "CPU", "GPU", "ratio", title=name)

    def row(family: str, quantity: str, on_cpu: float, on_gpu: float) -> None:
        ratio = f"{on_gpu / on_cpu:.4g}" if on_cpu else ""
        table.add_row(family, quantity, f"{on_cpu:.5g}", f"{on_gpu:.5g}", ratio)

    for kind in ("vae", "gan"):
        data = Digits()
        data.setup()
        fresh = model(kind, data)
        pairs = zip(first_losses(fresh, data, "cpu"), first_losses(fresh, data, gpu), strict=True)
        for index, (on_cpu, on_gpu) in enumerate(pairs):
            row(kind, f"loss of phase {index} before training", on_cpu, on_gpu)
        on_cpu = train(model(kind, data), data, "cpu")
        train(fresh, data, "gpu" if gpu == "cuda" else "cpu")  # warm up
        on_gpu = train(fresh := model(kind, data), data, "gpu" if gpu == "cuda" else "cpu")
        row(kind, "training, images per second", on_cpu, on_gpu)
        if gpu == "cuda":
            for name, (eager, compiled) in compiled_losses(kind, data, "gpu").items():
                row(kind, name, eager, compiled)
        left, right = measured(fresh, data, "cpu"), measured(fresh, data, gpu)
        for quantity, value in left.items():
            other = right[quantity]
            if value is not None and other is not None:
                row(kind, quantity, value, other)
    for kind in GAMES:
        play(kind, gpu, row)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
