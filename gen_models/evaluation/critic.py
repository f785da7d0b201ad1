r"""A critic that took no part in training: how far are samples from real images, in pixels?

The critic of WGAN-GP (Gulrajani et al., 2017) is trained from fresh weights, by one recipe and one
seed for every model, on frozen samples against training images, and then asked about images that
it has seen neither of. It sees pixels as they are, so that its answer is in pixels, L2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation.evaluate import undisturbed
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.precision import deterministic, full_precision
from gen_models.evaluation.probe import shuffled, trunk_words
from gen_models.evaluation.rows import chosen
from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.objectives.penalties import GradientPenalty


@dataclass(frozen=True)
class Critic:
    r"""The recipe of an independent critic, equal for all models that are compared.

    It minimises $\mathbb{E}\,D(\text{sample}) - \mathbb{E}\,D(\text{real}) + \lambda\,
    (|\nabla D| - 1)^2$ by Adam (0, 0.9), at a rate that falls to 0 along a half cosine. Where the
    Wasserstein-1 distance is W, the best slope under this penalty is $1 + W/2\lambda$, and the
    estimate $W + W^2/2\lambda$.

    Attributes:
        trunk: Factory of the critic, called with `shape` and `features=1`.
        images: Real images shown.
        batch_size: Images a step.
        rate: Adam's first learning rate.
        weight: lambda.

    Raises:
        UsageError: If a number is not positive.
    """

    trunk: Callable[..., nn.Module]
    images: int = 40_000
    batch_size: int = 64
    rate: float = 1e-3
    weight: float = 10.0

    def __post_init__(self) -> None:
        for name in ("images", "batch_size", "rate", "weight"):
            if not getattr(self, name) > 0:
                raise UsageError(f"critic.{name} must be above 0, not {getattr(self, name)}")

    def estimate(self, evidence: Evidence, fake: Tensor) -> Estimate:
        """Train on one half of `fake`, at random, and judge the other against held-out images.

        Args:
            evidence: Whose training images are learned from, and whose images are judged.
            fake: Samples (N, C, H, W), as the data are stored, N > 1.

        Returns:
            The difference of the critic's means, pixels, and its standard error.

        Raises:
            UsageError: If there are too few samples, or training has diverged.
        """
        half = len(fake) // 2
        if half < 1 or len(fake) - half < 2:
            raise UsageError(f"{len(fake)} samples are too few for a critic to learn from")
        fake = chosen(fake, len(fake))
        critic = self.fit(evidence, fake[:half])
        real, held = (
            evidence.each(images, lambda pixels: critic(pixels).squeeze(1))
            for images in (evidence.real.images, fake[half:])
        )
        value = (real.mean() - held.mean()).item()
        if value != value:
            raise UsageError(f"the critic has diverged at critic.rate={self.rate}; lower it")
        return Estimate(value, (real.var() / len(real) + held.var() / len(held)).sqrt().item())

    def fit(self, evidence: Evidence, fake: Tensor) -> nn.Module:
        """A critic of samples (N, C, H, W); the global random state stays as it was."""
        real, device = evidence.train.images, evidence.device
        seen = shuffled(len(real), self.images, evidence.seed).split(self.batch_size)
        shown = shuffled(len(fake), self.images, evidence.seed + 1).split(self.batch_size)
        guards = undisturbed(evidence.model, evidence.seed), full_precision(), deterministic()
        with guards[0], guards[1], guards[2], torch.enable_grad():
            critic = self.trunk(shape=tuple(real.shape[1:]), features=1).to(device)
            optimizer = torch.optim.Adam(critic.parameters(), lr=self.rate, betas=(0.0, 0.9))
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(seen))
            penalty = GradientPenalty(self.weight)
            for rows in zip(seen, shown, strict=True):
                x, y = (
                    to_pixels(images[chosen.to(images.device)].to(device))
                    for images, chosen in zip((real, fake), rows, strict=True)
                )
                cost = penalty(lambda each: critic(each).squeeze(1), x, y).mean()
                loss = critic(y).mean() - critic(x).mean() + self.weight * cost
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
        return critic.eval().requires_grad_(False)

    @property
    def protocol(self) -> str:
        """The recipe in words; equal for all models that are comparable."""
        return (
            f"WGAN-GP critic {trunk_words(self.trunk)} of pixels, gradient penalty "
            f"{self.weight:g}, {self.images} real images shown in batches of "
            f"{self.batch_size} by Adam (0, 0.9) at {self.rate:g} (half cosine)"
        )
