"""Priors and posterior heads over two levels of latents: see `hierarchy`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Distribution

from gen_models.distributions.hierarchy import ConditionalGaussian, TwoLevels
from gen_models.distributions.posteriors import DiagonalGaussian
from gen_models.distributions.priors import Prior, StandardNormal
from gen_models.errors import UsageError


class TwoLevelPrior(Prior):
    r"""$p(z_2) = N(0, I)$, $p(z_1|z_2) = N(\mu(z_2), \mathrm{diag}\,\sigma^2(z_2))$.

    Args:
        latent_dim: D, of both levels.
        top_dim: D2, of the top one; 1 <= D2 < D.
        hidden: Widths of the hidden layers of mu and sigma.

    Attributes:
        decoded: D1, the leading latents, which are all that the generator sees.

    Raises:
        UsageError: If `top_dim` leaves a level without variables.
    """

    def __init__(self, latent_dim: int, top_dim: int, hidden: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        self.decoded, self.top_dim = _bottom(latent_dim, top_dim, "prior"), top_dim
        self.top = StandardNormal(top_dim)
        self.bottom = ConditionalGaussian(top_dim, self.decoded, hidden)

    def forward(self) -> Distribution:
        """The distribution over z = (z1, z2), event shape (D,)."""
        return TwoLevels(self.top(), self.bottom, downward=True)


class BottomUp(nn.Module):
    r"""Head of $q(z_1|x)\,q(z_2|z_1)$, both diagonal Gaussians (Burda et al., 2016, section 5).

    Args:
        latent_dim: D, of both levels.
        top_dim: D2.
        hidden: Widths of the hidden layers of q(z2 | z1).

    Raises:
        UsageError: If `top_dim` leaves a level without variables.
    """

    def __init__(self, latent_dim: int, top_dim: int, hidden: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        self.bottom = DiagonalGaussian(_bottom(latent_dim, top_dim, "posterior"))
        self.top = ConditionalGaussian(latent_dim - top_dim, top_dim, hidden)
        self.features = self.bottom.features

    def bind(self, prior: nn.Module) -> None:
        """Meet the prior: called once by the model. It need not have levels.

        Raises:
            UsageError: If it has two levels of other sizes.
        """
        sizes = self.bottom.features // 2, self.top.latent_dim
        if isinstance(prior, TwoLevelPrior) and (prior.decoded, prior.top_dim) != sizes:
            raise UsageError(
                f"model.posterior.top_dim={sizes[1]} and model.prior.top_dim={prior.top_dim} are "
                "of one level: set both to the same"
            )

    def forward(self, features: Tensor) -> Distribution:
        """The posterior of each image.

        Args:
            features: (B, 2 D1), a trunk's output: mu of z1 beside its raw sigma.

        Returns:
            Batch shape (B,), event shape (D,).
        """
        return TwoLevels(self.bottom(features), self.top, downward=False)


class Ladder(nn.Module):
    r"""Head of $q(z_2|x)\,q(z_1|x,z_2)$, where z1's factor shares the prior's way down.

    $q(z_1|x,z_2) \propto \hat q(z_1|x)\,p(z_1|z_2)$: the image's Gaussian evidence times the
    prior's own conditional (Sønderby et al., 2016). One trunk gives both levels' features.

    Args:
        latent_dim: D, of both levels.
        top_dim: D2, the prior's.

    Raises:
        UsageError: If `top_dim` leaves a level without variables.
    """

    def __init__(self, latent_dim: int, top_dim: int) -> None:
        super().__init__()
        self.bottom = DiagonalGaussian(_bottom(latent_dim, top_dim, "posterior"))
        self.top = DiagonalGaussian(top_dim)
        self.features = self.bottom.features + self.top.features
        # In a tuple, which `nn.Module` does not look into: the prior's parameters are the model's.
        self._down: tuple[nn.Module, ...] = ()

    def bind(self, prior: nn.Module) -> None:
        """Meet the prior, whose p(z1 | z2) is shared: called once by the model.

        Raises:
            UsageError: If it has not the same two levels.
        """
        sizes = self.bottom.features // 2, self.top.features // 2
        if not isinstance(prior, TwoLevelPrior) or (prior.decoded, prior.top_dim) != sizes:
            raise UsageError(
                "model.posterior=Ladder shares the two levels of its prior: set model.prior to "
                f"TwoLevelPrior with top_dim={sizes[1]}"
            )
        self._down = (prior.bottom,)

    def forward(self, features: Tensor) -> Distribution:
        """The posterior of each image.

        Args:
            features: (B, 2 D1 + 2 D2), a trunk's output: the evidence on z1 beside q(z2 | x).

        Returns:
            Batch shape (B,), event shape (D,).
        """
        assert self._down, "the model binds the prior first"
        bottom, top = features.split([self.bottom.features, self.top.features], dim=-1)
        return TwoLevels(self.top(top), self._down[0], downward=True, evidence=self.bottom(bottom))


def _bottom(latent_dim: int, top_dim: int, where: str) -> int:
    """D1 = D - D2, refused below 1."""
    if not 1 <= top_dim < latent_dim:
        raise UsageError(
            f"model.{where}.top_dim={top_dim} must be 1 or more and below "
            f"model.latent_dim={latent_dim}, which counts both levels"
        )
    return latent_dim - top_dim
