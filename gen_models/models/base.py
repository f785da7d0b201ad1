"""One training step for every family: phases as data, manual optimisation, counted in images."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gen_models.errors import UsageError
from gen_models.models.gathered import Turn
from gen_models.models.hooks import step, unheard
from gen_models.models.log import Logged
from gen_models.models.phase import Phase, images_of, scale_rate
from gen_models.models.state import check_same, not_finite, random_state, set_random_state
from gen_models.recipes import describe
from gen_models.signatures import defaults


class GenerativeModule(Logged):
    """Runs the phases that a family names; knows no family.

    Lightning's `global_step` counts every optimiser's step, which would give a GAN half of a VAE's
    budget (Lightning-AI/pytorch-lightning#17958). So the budget and every axis are `images_seen`,
    the real images shown, and `iterations`, passes over all phases. Both are kept in checkpoints.

    Attributes:
        iterations: Training batches.
        lr_schedule: Maps images seen to a factor of every optimiser's learning rate; None: 1.
        acting: The phases as they act in training: `phases()`, or what a callback has made of them.
        settled: Arguments that had their say when training began, and may be others where a
            checkpoint is gone on with or evaluated.
    """

    lr_schedule: Callable[[int], float] | None = None
    settled: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.iterations = 0
        self.acting: list[Phase] = []
        self._noise: dict[str, Any] | None = None
        self._unheard = False

    @abstractmethod
    def phases(self) -> list[Phase]:
        """The players in the order of their turns."""

    def after_iteration(self, images: int) -> None:
        """Called after all phases, with the number of real images that were shown."""

    def conclude(self) -> bool:
        """Do what is left behind the last iteration; called before the last checkpoint is saved.

        Returns:
            Whether anything has changed.
        """
        return False

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
        self.acting = self.phases()
        return [phase.optimizer(phase.parameters) for phase in self.acting]

    @final
    def training_step(self, batch: Any, batch_index: int) -> None:
        """For each phase: loss, backward into its own parameters, step."""
        x = images_of(batch)
        if batch_index == 0:
            self.check(x)
        optimizers = self.optimizers()  # a bare one where there is only one
        listed = optimizers if isinstance(optimizers, list) else [optimizers]
        images = len(x) * self.trainer.world_size
        seen = self.images_seen + images
        for phase, optimizer in zip(self.acting, listed, strict=True):
            if phase.acts(self.iterations + 1, self.images_seen):
                turn = Turn(phase.name, self.current_epoch, batch_index, seen)
                self._gathered.add(turn, self._turn(phase, optimizer, batch))
        self.iterations += 1
        self.images_seen = seen
        self.after_iteration(images)
        if self.iterations % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._log()

    def _turn(self, phase: Phase, optimizer: Any, batch: Any) -> dict[str, Tensor]:
        for parameter in phase.parameters:
            parameter.grad = None
        values = phase.values(batch)
        # Other players' gradients are neither computed nor stored: nothing has to be toggled.
        if self._unheard:
            values["loss"].backward(inputs=phase.parameters)
        else:
            self.manual_backward(values["loss"], inputs=phase.parameters)
        if phase.clip is not None:
            nn.utils.clip_grad_norm_(phase.parameters, phase.clip)
        if self.lr_schedule is not None:
            scale_rate(optimizer, self.lr_schedule(self.images_seen))
        step(optimizer) if self._unheard else optimizer.step()
        if phase.after is not None:
            phase.after()
        return values

    @final
    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Every phase's values on held-out images; Lightning weights batches by their sizes."""
        x = images_of(batch)
        if batch_index == 0:
            self.check(x)
        how: dict[str, Any] = {"batch_size": len(x), "logger": False, "sync_dist": True}
        for phase in self.phases():
            for name, value in phase.values(batch).items():
                self.log(f"validation/{phase.name}/{name}", value, **how)

    def on_train_start(self) -> None:
        """Start the clock, and go on with the noise that a resumed run would have had."""
        super().on_train_start()
        self._gathered.to(self.device)
        self._unheard = unheard(self)
        if self._noise is not None:
            set_random_state(self._noise)
            self._noise = None

    def on_validation_start(self) -> None:
        """Draw the same noise at each validation, and leave training's randomness where it is."""
        if self._gathered:
            self._flush()
        if self.diverged is None and (name := not_finite(self)):
            self.diverge(f"{name} was not finite at {self.images_seen} images")
        self._noise = random_state()
        torch.manual_seed(0)

    def on_validation_end(self) -> None:
        """Write the validation means to the loggers, over images seen."""
        if self._noise is None:  # a checkpoint was saved, and has done it
            return
        set_random_state(self._noise)
        self._noise = None
        if self.trainer.sanity_checking:
            return
        values = self.trainer.callback_metrics.items()
        self.write({k: v.item() for k, v in values if k.startswith("validation/")})

    def remember(self, arguments: dict[str, Any]) -> None:
        """Keep the constructor's arguments as plain data, from which a checkpoint is loaded again.

        Lightning would pickle the networks' factories, which `weights_only` loading rightly
        refuses.

        Args:
            arguments: `locals()` of the constructor.
        """
        own = {k: describe(v) for k, v in arguments.items() if k not in ("self", "__class__")}
        self.save_hyperparameters(own, logger=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the class, the counters, the history and the state of the noise."""
        trainer = self._trainer  # none where a loaded model is exported
        if trainer is not None and trainer.validating:
            self.on_validation_end()  # callbacks save before the module has had its turn
        checkpoint["target"] = f"{type(self).__module__}.{type(self).__qualname__}"
        checkpoint["images_seen"] = self.images_seen
        checkpoint["iterations"] = self.iterations
        checkpoint["history"] = copy.deepcopy(self.history)
        checkpoint["events"] = copy.deepcopy(self.events)
        checkpoint["threads"] = list(self.threads)
        checkpoint["training_seconds"] = self._seconds()
        if trainer is not None:
            checkpoint["gathered"] = self._gathered.state_dict(trainer.strategy.reduce)
        checkpoint["noise"] = random_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore counters and history, and the noise too where training goes on."""
        if self._trainer is None:
            self.restore(checkpoint)
        else:
            self.restore(checkpoint, compare=tuple(self.hparams))
            if "gathered" in checkpoint:
                self._gathered.load_state_dict(checkpoint["gathered"])
            self._noise = checkpoint["noise"]

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """As torch does it, with a mistake told in one line."""
        try:
            return super().load_state_dict(state_dict, *args, **options)
        except RuntimeError as error:
            _, *places = (" ".join(line.split()) for line in str(error).splitlines())
            raise UsageError(
                "the checkpoint's weights are of another model: "
                f"{' '.join(places)[:300]}; choose model as it was there"
            ) from None

    def restore(self, checkpoint: dict[str, Any], compare: Sequence[str] = ()) -> None:
        """Take counters and history from a checkpoint of the same model.

        Args:
            checkpoint: What was stored.
            compare: Arguments of the constructor that have to be the same there and here, but for
                the settled ones.

        Raises:
            UsageError: If one is not; says where they differ.
        """
        stored = {**defaults(type(self)), **checkpoint.get("hyper_parameters", {})}
        check_same(stored, self.hparams, [key for key in compare if key not in self.settled])
        self.images_seen = checkpoint["images_seen"]
        self.iterations = checkpoint["iterations"]
        self.history = checkpoint["history"]
        self.events = checkpoint.get("events", [])
        self.threads = list(checkpoint.get("threads", []))
        self.training_seconds = checkpoint["training_seconds"]
