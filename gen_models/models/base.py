"""One training step for every family: phases as data, manual optimisation, counted in images."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gen_models.errors import UsageError
from gen_models.recipes import describe

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
"""Makes an optimiser of the parameters it is given, as `partial(Adam, lr=...)` does."""


@dataclass(frozen=True)
class Phase:
    """One player's turn: what it minimises and what it may move.

    Attributes:
        name: Prefix of the phase's logged values.
        loss: Maps scaled images (B, C, H, W) to named scalars; "loss" is the one that is minimised.
        parameters: All that the phase moves; its backward pass reaches nothing else.
        optimizer: Makes the phase's optimiser.
        every: The phase acts in each `every`-th iteration.
        clip: Largest norm of the phase's gradient; None: no limit.
    """

    name: str
    loss: Callable[[Tensor], dict[str, Tensor]]
    parameters: Sequence[nn.Parameter]
    optimizer: OptimizerFactory
    every: int = 1
    clip: float | None = None


class GenerativeModule(pl.LightningModule):
    """Runs the phases that a family names; knows no family.

    Lightning's `global_step` counts every optimiser's step, which would give a GAN half of a VAE's
    budget (Lightning-AI/pytorch-lightning#17958). So the budget and every axis are `images_seen`,
    the real images shown, and `iterations`, passes over all phases. Both are kept in checkpoints.

    Attributes:
        images_seen: Real images shown in training, over all devices.
        iterations: Training batches.
        history: Means of the logged values, one mapping an interval, with their "images".
        diverged: What went wrong, once a logged loss is not finite.
    """

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.images_seen = 0
        self.iterations = 0
        self.history: list[dict[str, float]] = []
        self.diverged: str | None = None
        self._sums: dict[str, tuple[Tensor, int]] = {}

    @abstractmethod
    def phases(self) -> list[Phase]:
        """The players in the order of their turns."""

    def after_iteration(self, images: int) -> None:
        """Called after all phases, with the number of real images that were shown."""

    def check(self, x: Tensor) -> None:
        """Refuse data that the model cannot be trained on; called with the first batch of an epoch.

        Args:
            x: (B, C, H, W), scaled images.

        Raises:
            UsageError: If they do not fit.
        """

    @final
    def configure_optimizers(self) -> list[Optimizer]:
        """One optimiser a phase, in order."""
        self._phases = self.phases()
        return [phase.optimizer(phase.parameters) for phase in self._phases]

    @final
    def training_step(self, batch: Any, batch_index: int) -> None:
        """For each phase: loss, backward into its own parameters, step."""
        x = images_of(batch)
        if batch_index == 0:
            self.check(x)
        optimizers = self.optimizers()  # a bare one where there is only one
        listed = optimizers if isinstance(optimizers, list) else [optimizers]
        for phase, optimizer in zip(self._phases, listed, strict=True):
            if (self.iterations + 1) % phase.every == 0:
                self._sum(phase.name, self._turn(phase, optimizer, x))
        images = len(x) * self.trainer.world_size
        self.iterations += 1
        self.images_seen += images
        self.after_iteration(images)
        if self.iterations % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._log()

    def _turn(self, phase: Phase, optimizer: Any, x: Tensor) -> dict[str, Tensor]:
        values = phase.loss(x)
        optimizer.zero_grad(set_to_none=True)
        # Other players' gradients are neither computed nor stored: nothing has to be toggled.
        self.manual_backward(values["loss"], inputs=list(phase.parameters))
        if phase.clip is not None:
            nn.utils.clip_grad_norm_(phase.parameters, phase.clip)
        optimizer.step()
        return values

    @final
    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Every phase's values on held-out images; Lightning weights batches by their sizes."""
        x = images_of(batch)
        if batch_index == 0:
            self.check(x)
        for phase in self.phases():
            for name, value in phase.loss(x).items():
                self.log(f"validation/{phase.name}/{name}", value, batch_size=len(x), logger=False)

    def on_validation_start(self) -> None:
        """Draw the same noise at each validation, and leave training's randomness where it is."""
        self._noise = torch.random.fork_rng()
        self._noise.__enter__()
        torch.manual_seed(0)

    def on_validation_end(self) -> None:
        """Write the validation means to the loggers, over images seen."""
        self._noise.__exit__(None, None, None)
        if self.trainer.sanity_checking:
            return
        values = self.trainer.callback_metrics.items()
        self._write({k: v.item() for k, v in values if k.startswith("validation/")})

    def _sum(self, name: str, values: dict[str, Tensor]) -> None:
        # Sums stay on the device: waiting for a number in every step would stall it.
        for key, value in values.items():
            total, count = self._sums.get(f"train/{name}/{key}", (0.0, 0))
            self._sums[f"train/{name}/{key}"] = (total + value.detach(), count + 1)

    def on_train_end(self) -> None:
        """Write what has gathered since the last interval."""
        if self._sums:
            self._flush()

    def _log(self) -> None:
        means = self._flush()
        self.log_dict(means, logger=False)
        bad = [k for k, v in means.items() if k.endswith("/loss") and not abs(v) < float("inf")]
        if bad and self.diverged is None:
            self.diverged = f"{bad[0]} was not finite at {self.images_seen} images"
            self.trainer.should_stop = True

    def _flush(self) -> dict[str, float]:
        means = {key: (total / count).item() for key, (total, count) in self._sums.items()}
        self._sums.clear()
        self._write(means)
        return means

    def _write(self, values: dict[str, float]) -> None:
        self.history.append({"images": float(self.images_seen), **values})
        for logger in self.loggers:
            logger.log_metrics(values, step=self.images_seen)
            logger.save()

    def remember(self, arguments: dict[str, Any]) -> None:
        """Keep the constructor's arguments as plain data, from which a checkpoint is loaded again.

        Lightning would pickle the networks' factories, which `weights_only` loading rightly
        refuses.

        Args:
            arguments: `locals()` of the constructor.
        """
        hidden = {"self", "__class__"}
        self.save_hyperparameters(
            {k: describe(v) for k, v in arguments.items() if k not in hidden}, logger=False
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the counters and the history."""
        checkpoint["images_seen"] = self.images_seen
        checkpoint["iterations"] = self.iterations
        checkpoint["history"] = copy.deepcopy(self.history)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counters and the history, where training goes on."""
        if self._trainer is not None:
            self.restore(checkpoint)

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Take counters and history from a checkpoint of the same model.

        Raises:
            UsageError: If it is of another model; says what differs.
        """
        stored = checkpoint.get("hyper_parameters", {})
        differing = [k for k, v in self.hparams.items() if stored.get(k) != v]
        if differing:
            key = differing[0]
            raise UsageError(
                f"the checkpoint is of another model: {', '.join(differing)} differ "
                f"({key} is {stored.get(key)} there and {self.hparams[key]} here)"
            )
        self.images_seen = checkpoint["images_seen"]
        self.iterations = checkpoint["iterations"]
        self.history = checkpoint["history"]


def images_of(batch: Any) -> Tensor:
    """The images of a batch: the batch itself, or the first of a tuple (images, labels)."""
    return batch if isinstance(batch, Tensor) else batch[0]
