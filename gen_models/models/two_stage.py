"""A VAE whose latents are modelled by a second VAE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from gen_models.distributions import Gaussian
from gen_models.errors import UsageError
from gen_models.models.latent import NetworkFactory
from gen_models.models.phase import Phase
from gen_models.models.vae import VAE
from gen_models.modes import evaluating
from gen_models.recipes import build


class TwoStageVAE(VAE):
    r"""Stage 1 is a VAE of images, stage 2 one of its latents: samples go u -> z -> x.

    Dai & Wipf (2019), section 4. Stage 1 has a learned sigma, finds the images' manifold, and need
    not bring q(z) to N(0, I). Stage 2 has latents u of the same size and a learned sigma of its
    own, and learns q(z) from draws z ~ q(z|x), when stage 1 no longer moves.

    Bound, q(z | x) and `prior` are those of stage 1, whose prior is N(0, I): likelihoods speak of
    stage 1, samples of both. Before stage 2 has begun, samples come from N(0, I).

    When it begins is settled where training begins, and goes with the checkpoint: a later run with
    another budget keeps the turn of the first. Stage 2's schedules and its generator's average
    count the images that it has been shown.

    Args:
        second_stage: Factory of a VAE, called with `shape` = (D, 1, 1), `latent_dim` = D, its
            Gaussian `likelihood` over all reals, and `training_images`.
        budget: Images that training will show.
        share: Of the budget, in (0, 1), that stage 1 has; stage 2 has the rest.
        **options: The arguments of `VAE`, for stage 1.

    Raises:
        UsageError: If the share is not in (0, 1); if stage 2 has a learning rate's schedule of its
            own, or phases of its own.

    Attributes:
        turn: Images seen from which on stage 2 learns.
    """

    settled: ClassVar[frozenset[str]] = frozenset({"budget"})

    def __init__(
        self, *, second_stage: NetworkFactory, budget: int, share: float = 1 / 3, **options: Any
    ) -> None:
        arguments = {"second_stage": second_stage, "budget": budget, "share": share}
        super().__init__(**options)
        self.remember(arguments)
        if not 0 < share < 1:
            raise UsageError(f"model.share={share} must lie between 0 and 1")
        self.turn = round(share * budget)
        likelihood = partial(Gaussian, deviation=1.0, learned=True, link="identity")
        self.second_stage: VAE = build(second_stage, "model.second_stage")(
            shape=(self.latent_dim, 1, 1),
            latent_dim=self.latent_dim,
            likelihood=likelihood,
            training_images=self.training_images,
        )
        if self.second_stage.lr_schedule is not None:
            raise UsageError(
                "model.second_stage.lr_schedule is not followed: set model.lr_schedule, which maps "
                "the images of both stages"
            )
        if len(self.second_stage.phases()) > 1:
            kind = type(self.second_stage).__name__
            raise UsageError(f"model.second_stage={kind} has several phases: choose a VAE of one")

    def phases(self) -> list[Phase]:
        """Stage 1 until its share of the budget is spent, stage 2 from then on."""
        (one,), (two,) = super().phases(), self.second_stage.phases()
        theirs = {id(p) for p in two.parameters}
        first = [p for p in one.parameters if id(p) not in theirs]
        return [
            replace(one, name="first_stage", parameters=first, ends=self.turn),
            replace(two, name="second_stage", loss=self.second_loss, begins=self.turn),
        ]

    def after_iteration(self, images: int) -> None:
        """Let the averages follow; count stage 2's images where it had the turn."""
        super().after_iteration(images)
        if self.images_seen - images >= self.turn:
            self.second_stage.images_seen += images
            self.second_stage.after_iteration(images)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the turn, and the images that stage 2 has been shown."""
        super().on_save_checkpoint(checkpoint)
        seen = self.second_stage.images_seen
        checkpoint["second_stage"] = {"turn": self.turn, "images_seen": seen}

    def restore(self, checkpoint: dict[str, Any], compare: Sequence[str] = ()) -> None:
        """Take stage 2's counters too; see the base class."""
        super().restore(checkpoint, compare)
        self.turn = checkpoint["second_stage"]["turn"]
        self.second_stage.images_seen = checkpoint["second_stage"]["images_seen"]

    def second_loss(self, x: Tensor) -> dict[str, Tensor]:
        """Stage 2's loss on one draw z ~ q(z|x) an image, of scaled images (B, C, H, W)."""
        with torch.no_grad(), evaluating(self.encoder):
            z = self.posterior(x).sample()
        return self.second_stage.loss(z[..., None, None])

    @torch.no_grad()
    def sample_prior(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents z ~ p(z | u), u ~ p(u), by stage 2 once it has begun: (count, D)."""
        if self.second_stage.images_seen == 0:
            return self.prior.sample(count, generator)
        second = self.second_stage
        with evaluating(second):
            mean = second.decode(second.sample_prior(count, generator)).flatten(1)
        device = mean.device if generator is None else generator.device
        noise = torch.randn(mean.shape, generator=generator, device=device)
        return mean + second.likelihood.log_deviation.exp() * noise.to(mean.device)
