"""A watch on the posterior: a decoder that has learned to do without its latents is told of."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from gen_models.capabilities import BoundsLikelihood, Infers
from gen_models.evaluation.likelihood import active_units
from gen_models.models.base import GenerativeModule
from gen_models.models.phase import images_of


class PosteriorCollapse(pl.Callback):
    r"""Counts active latents at each validation, and warns once when there is none left.

    Latent j is active where $\mathrm{Var}_x\,\mathbb{E}_q[z_j | x] > 0.01$ (Burda et al., 2016,
    section 5.2). The count becomes a curve of the record, `active_units`. Models that infer no
    latents are left alone, and of those that infer by a game and pay no rate none is warned.
    """

    def __init__(self) -> None:
        self._means: list[Tensor] = []

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: GenerativeModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keep the posterior means of the batch."""
        if isinstance(module, Infers) and not trainer.sanity_checking:
            model: Any = module
            self._means.append(model.infer(model.scaler.inverse(images_of(batch))).mean)

    def on_validation_end(self, trainer: pl.Trainer, module: GenerativeModule) -> None:
        """Count, and warn where there is nothing to count."""
        gathered, self._means = self._means, []
        if sum(map(len, gathered)) < 2:  # nothing can vary
            return
        means = torch.cat(gathered)
        active = active_units(means)
        module.write({"validation/active_units": float(active)})
        if active == 0 and module.diverged is None and isinstance(module, BoundsLikelihood):
            module.tell(
                "posterior collapse",
                f"none of {means.shape[1]} latents says anything about the images; raise the "
                "weight of the rate slowly (model/objective=warm_up), or give latents free nats "
                "(model.objective.free_nats=0.1)",
            )
