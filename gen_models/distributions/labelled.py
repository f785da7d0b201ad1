"""A prior over latents and a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, OneHotCategorical, constraints

from gen_models.distributions.priors import Prior, StandardNormal
from gen_models.errors import UsageError


class WithClass(Distribution):
    """p(z) p(y) over (z, one-hot y) in one vector.

    Half of it is discrete: `log_prob` is a density in z and a probability in y, and there is no
    `rsample` nor any gradient to follow in y.

    Args:
        latents: p(z), event shape (D,).
        classes: p(y), event shape (classes,), one-hot.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = False

    def __init__(self, latents: Distribution, classes: Distribution) -> None:
        self.latents, self.classes = latents, classes
        self.split = [latents.event_shape.numel(), classes.event_shape.numel()]
        super().__init__(event_shape=torch.Size([sum(self.split)]), validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, (*sample_shape, D + classes)."""
        shape = torch.Size(sample_shape)
        return torch.cat([self.latents.sample(shape), self.classes.sample(shape)], dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(z) + log p(y) of (..., D + classes), (...), nats."""
        z, one_hot = value.split(self.split, dim=-1)
        return self.latents.log_prob(z) + self.classes.log_prob(one_hot)

    @property
    def support(self) -> constraints.Constraint:
        """Real latents beside a one-hot class: discrete in part."""
        parts = [constraints.real_vector, self.classes.support]
        return constraints.cat(parts, dim=-1, lengths=self.split)

    @property
    def mean(self) -> Tensor:
        """Means of z and of one-hot y, the classes' shares: (D + classes,)."""
        return torch.cat([self.latents.mean, self.classes.mean])


class LabelledPrior(Prior):
    """A prior over z, and the classes' shares over y: equal ones until they are known.

    Args:
        latent_dim: D plus the number of classes.
        classes: How many.
        latents: Factory of p(z), called with `latent_dim` = D.

    Attributes:
        decoded: How many of (z, one-hot y) the generator sees: fewer than all where p(z) has
            levels.

    Raises:
        UsageError: If no latent is left beside the classes; if p(z) is made of an encoder q(z | x),
            where there is only q(z | x, y).
    """

    shares: Tensor

    def __init__(
        self, latent_dim: int, classes: int, latents: Callable[..., nn.Module] = StandardNormal
    ) -> None:
        super().__init__()
        if latent_dim <= classes:
            raise UsageError(f"no latents beside the {classes} classes: set model.latent_dim")
        self.latents = latents(latent_dim=latent_dim - classes)
        if getattr(type(self.latents), "bind", Prior.bind) is not Prior.bind:
            raise UsageError(
                f"model.prior={type(self.latents).__name__} is made of an encoder of images alone, "
                "this one sees the class too: choose standard_normal, gaussian_mixture or flow"
            )
        self.decoded = getattr(self.latents, "decoded", latent_dim - classes) + classes
        self.register_buffer("shares", torch.full((classes,), 1 / classes))

    def forward(self) -> Distribution:
        """The distribution over (z, one-hot y), event shape (D + classes,)."""
        classes = OneHotCategorical(probs=self.shares, validate_args=False)
        return WithClass(self.latents(), classes)

    def count(self, labels: Tensor) -> None:
        """Take the shares of the classes from labels (N,) of the training images."""
        counts = labels.bincount(minlength=len(self.shares))
        self.shares.copy_(counts / counts.sum())
