"""Other ways to train the same networks, one step at a time, so that they can take turns.

Each contestant is made of a model of ours (whose networks it copies), the images in bytes and the
size of a batch, and is called for one step. What keeps a loop of its own runs in a thread that
waits behind each step until it is called again.
"""

from __future__ import annotations

import copy
import math
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, softplus
from torch.utils.data import DataLoader, Dataset

from gen_models.networks.layers import ToGrey

Step = Callable[[], Any]
Batches = Iterator[Tensor]


def in_memory(images: Tensor, size: int) -> Batches:
    """Batches cut from one tensor of bytes, scaled to [-1, 1]; a new order for each epoch."""
    whole = len(images) // size * size
    while True:
        for chosen in torch.randperm(len(images), device=images.device)[:whole].split(size):
            yield images[chosen].float().div_(127.5).sub_(1)


def through_pillow(images: Tensor, size: int) -> Batches:
    """Batches as torchvision's data sets give them: a Pillow image each, ToTensor, Normalize."""
    from PIL import Image
    from torchvision.transforms import Compose, Normalize, ToTensor

    transform = Compose([ToTensor(), Normalize(0.5, 0.5)])
    arrays = images.permute(0, 2, 3, 1).squeeze(-1).numpy()

    class Pictures(Dataset[Tensor]):
        def __len__(self) -> int:
            return len(arrays)

        def __getitem__(self, index: int) -> Tensor:
            return transform(Image.fromarray(arrays[index]))

    while True:
        yield from DataLoader(Pictures(), batch_size=size, shuffle=True, drop_last=True)


def plain(network: nn.Module) -> Any:
    """A copy of torch's own layers, with weights in the order in which torch lays them."""
    made = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    for layer in made.modules():
        if isinstance(layer, ToGrey):
            layer.__class__ = nn.ConvTranspose2d
    return made


def bound(model: Any) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """A VAE's networks, and its loss of a batch."""
    networks = nn.ModuleList([plain(model.encoder[0]), plain(model.generator)])
    encoder, generator = networks.train()
    deviation = model.likelihood.log_deviation.exp().item()
    constant = math.log(deviation) + 0.5 * math.log(2 * math.pi)

    def loss(x: Tensor) -> Tensor:
        mean, raw = encoder(x).chunk(2, dim=-1)
        scale = softplus(raw) + 1e-4
        pixels = torch.sigmoid(2 * generator(mean + scale * torch.randn_like(mean)))
        error = mse_loss(pixels, (x + 1) / 2, reduction="sum") / (2 * deviation**2 * len(x))
        rate = 0.5 * (mean.square() + scale.square() - 1).sum(1) - scale.log().sum(1)
        return error + constant * x[0].numel() + rate.mean()

    return networks, loss


def as_it_comes(optimizer: Any) -> Callable[..., Any]:
    """A factory of the same optimiser that does not ask for its fused step: torch's default."""
    options = {key: value for key, value in optimizer.keywords.items() if key != "fused"}
    return partial(optimizer.func, **options)


def vae_by_hand(model: Any, batches: Batches, make: Any = None) -> Step:
    """A plain loop: no log, no bar, no validation."""
    networks, loss = bound(model)
    optimizer = (make or model.optimizer)(networks.parameters())

    def step() -> None:
        value = loss(next(batches))
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()

    return step


def gan_by_hand(model: Any, batches: Batches, make: Any = None) -> Step:
    """A plain loop of the non-saturating game, with the average of the generator."""
    generator, critic = plain(model.generator), plain(model.discriminator)
    average = copy.deepcopy(generator)
    floats = [
        [t.data for t in (*n.parameters(), *n.buffers()) if t.is_floating_point()]
        for n in (average, generator)
    ]
    players = [list(network.parameters()) for network in (generator, critic)]
    optimizers = [(make or model.optimizer)(parameters) for parameters in players]

    def step() -> None:
        x = next(batches)
        with torch.no_grad():
            fake = torch.tanh(generator(torch.randn(len(x), model.latent_dim, device=x.device)))
        loss = softplus(-critic(x)).mean() + softplus(critic(fake)).mean()
        optimizers[1].zero_grad(set_to_none=True)
        loss.backward()
        optimizers[1].step()
        fake = torch.tanh(generator(torch.randn(len(x), model.latent_dim, device=x.device)))
        loss = softplus(-critic(fake)).mean()
        optimizers[0].zero_grad(set_to_none=True)
        loss.backward(inputs=players[0])
        optimizers[0].step()
        torch._foreach_lerp_(*floats, 1 - 0.5 ** (len(x) / model.average.half_life))

    return step


class Baton:
    """A loop that goes on by one step whenever it is called.

    Args:
        loop: Called in a thread, with what it has to call behind each of its steps.
    """

    def __init__(self, loop: Callable[[Step], Any]) -> None:
        self.mine, self.theirs = threading.Semaphore(0), threading.Semaphore(0)
        self.failed: BaseException | None = None
        threading.Thread(target=self._run, args=(loop,), daemon=True).start()

    def _run(self, loop: Callable[[Step], Any]) -> None:
        self.theirs.acquire()
        try:
            loop(self._pause)
        except BaseException as error:
            self.failed = error
        self.mine.release()

    def _pause(self) -> None:
        self.mine.release()
        self.theirs.acquire()

    def __call__(self) -> None:
        """Let the loop take one step.

        Raises:
            BaseException: What the loop raised.
        """
        self.theirs.release()
        self.mine.acquire()
        if self.failed is not None:
            raise self.failed


class Pausing(pl.Callback):
    """Calls what it is given behind each batch."""

    def __init__(self, pause: Step) -> None:
        self.pause = pause

    def on_train_batch_end(self, *_: Any) -> None:
        """Wait."""
        self.pause()


def lightning(module: pl.LightningModule, images: Tensor, size: int) -> Step:
    """A module as people write it, in Lightning's trainer as it comes: bar, CSV, checkpoints."""

    class Endless(torch.utils.data.IterableDataset[Tensor]):
        def __iter__(self) -> Batches:
            return in_memory(images, size)

    def loop(pause: Step) -> None:
        trainer = pl.Trainer(
            accelerator="cpu",
            max_steps=-1,
            logger=pl.loggers.CSVLogger(folder := tempfile.mkdtemp()),
            default_root_dir=folder,
            callbacks=[Pausing(pause)],
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader(Endless(), batch_size=None))

    return Baton(loop)


class UsualVAE(pl.LightningModule):
    """Automatic optimisation, the loss logged in each step and shown in the bar."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.networks, self.loss = bound(model)
        self.make = model.optimizer

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """The loss."""
        loss = self.loss(batch)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """Of both networks."""
        return self.make(self.networks.parameters())


class UsualGAN(pl.LightningModule):
    """Manual optimisation with toggled optimisers, as Lightning's own example has it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = plain(model.generator)
        self.critic = plain(model.discriminator)
        self.latents, self.make = model.latent_dim, model.optimizer

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Both players' turns."""
        first, second = self.optimizers()  # type: ignore[misc]
        z = torch.randn(len(batch), self.latents)
        self.toggle_optimizer(first)
        loss = softplus(-self.critic(torch.tanh(self.generator(z)))).mean()
        self.log("generator", loss, prog_bar=True)
        self._step(first, loss)
        self.toggle_optimizer(second)
        fake = torch.tanh(self.generator(z)).detach()
        loss = softplus(-self.critic(batch)).mean() + softplus(self.critic(fake)).mean()
        self.log("critic", loss, prog_bar=True)
        self._step(second, loss)

    def _step(self, optimizer: Any, loss: Tensor) -> None:
        self.manual_backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        self.untoggle_optimizer(optimizer)

    def configure_optimizers(self) -> Any:
        """Of each network."""
        return [self.make(self.generator.parameters()), self.make(self.critic.parameters())]


def pythae(model: Any, images: Tensor, size: int, fused: bool = False) -> Step:
    """Pythae's VAE and trainer on the same networks; its loss is its own, a squared error.

    Args:
        model: Of ours.
        images: (N, C, H, W), bytes.
        size: Of a batch.
        fused: Whether its Adam is ours, in one pass over all parameters, and not its default.
    """
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    networks, _ = bound(model)
    images = images[: len(images) // size * size]  # its loader would serve what is left over too

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = networks[0]

        def forward(self, x: Tensor) -> Any:
            mean, raw = self.network(x).chunk(2, dim=-1)
            return ModelOutput(embedding=mean, log_covariance=raw)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = networks[1]

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=torch.sigmoid(2 * self.network(z)))

    shape = tuple(images.shape[1:])
    theirs = VAE(VAEConfig(input_dim=shape, latent_dim=model.latent_dim), Encoder(), Decoder())
    options = {"optimizer_params": {"fused": True} if fused else None, "learning_rate": 1e-3}
    return by_pythae(theirs, images, per_device_train_batch_size=size, **options)


def by_pythae(theirs: Any, images: Tensor, **options: Any) -> Step:
    """A model of pythae's in its trainer, without end.

    Args:
        theirs: The model.
        images: (N, C, H, W), bytes.
        **options: Of its trainer; what is not given is its default.
    """
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Wait(TrainingCallback):  # type: ignore[misc]
        def __init__(self, pause: Step) -> None:
            self.pause = pause

        def on_train_step_end(self, *_: Any, **__: Any) -> None:
            self.pause()

    def loop(pause: Step) -> None:
        config = BaseTrainerConfig(
            output_dir=tempfile.mkdtemp(), num_epochs=10**6, no_cuda=True, **options
        )
        kept = BaseDataset(images.float() / 255, torch.zeros(len(images)))
        BaseTrainer(theirs, kept, training_config=config, callbacks=[Wait(pause)]).train()

    return Baton(loop)


def contestants(kind: str, model: Any, images: Tensor, size: int) -> dict[str, Step]:
    """All of a family, by name; "bare loop", with our fused optimiser, is the first."""
    hand = {"vae": vae_by_hand, "gan": gan_by_hand}[kind]
    usual = {"vae": UsualVAE, "gan": UsualGAN}[kind]
    usual_adam = as_it_comes(model.optimizer)
    found: dict[str, Step] = {
        "bare loop": hand(model, in_memory(images, size)),
        "bare loop, Adam as it comes": hand(model, in_memory(images, size), usual_adam),
        "torchvision loader": hand(model, through_pillow(images, size)),
        "plain Lightning": lightning(usual(model), images, size),
    }
    if kind == "vae":
        found["pythae"] = pythae(model, images, size)
        found["pythae, fused Adam"] = pythae(model, images, size, fused=True)
    return found
