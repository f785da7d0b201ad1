"""A VAE whose latents are modelled by a second VAE."""

from __future__ import annotations

from functools import partial
from typing import Any

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

    Args:
        second_stage: Factory of a VAE, called with `shape` = (D, 1, 1), `latent_dim` = D and its
            Gaussian `likelihood` over all reals.
        budget: Images that training will show.
        share: Of the budget, in (0, 1), that stage 1 has; stage 2 has the rest.
        **options: The arguments of `VAE`, for stage 1.

    Raises:
        UsageError: If the share is not in (0, 1).
    """

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
            shape=(self.latent_dim, 1, 1), latent_dim=self.latent_dim, likelihood=likelihood
        )

    def phases(self) -> list[Phase]:
        """Stage 1 until its share of the budget is spent, stage 2 from then on."""
        second = [p for p in self.second_stage.parameters() if p.requires_grad]
        theirs = {id(p) for p in second}
        first = [p for p in self.parameters() if p.requires_grad and id(p) not in theirs]
        one, two = "first_stage", "second_stage"
        slope = self.second_stage.optimizer
        return [
            Phase(one, self.loss, first, self.optimizer, clip=self.clip, ends=self.turn),
            Phase(two, self.second_loss, second, slope, begins=self.turn),
        ]

    def second_loss(self, x: Tensor) -> dict[str, Tensor]:
        """Stage 2's loss on one draw z ~ q(z|x) an image, of scaled images (B, C, H, W)."""
        with torch.no_grad(), evaluating(self.encoder):
            z = self.posterior(x).sample()
        return self.second_stage.loss(z[..., None, None])

    @torch.no_grad()
    def sample_prior(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents z ~ p(z | u), u ~ p(u), by stage 2 once it has begun: (count, D)."""
        if self.images_seen <= self.turn:
            return self.prior.sample(count, generator)
        second = self.second_stage
        with evaluating(second):
            mean = second.decode(second.sample_prior(count, generator)).flatten(1)
        device = mean.device if generator is None else generator.device
        noise = torch.randn(mean.shape, generator=generator, device=device)
        return mean + second.likelihood.log_deviation.exp() * noise.to(mean.device)
