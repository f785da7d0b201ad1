"""A prior over the vectors of a codebook: tokens drawn one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, constraints

from gen_models.distributions.priors import Prior
from gen_models.errors import UsageError


class Quantised(NamedTuple):
    """Latents moved to the nearest vectors of a codebook.

    Attributes:
        vectors: (B, T, d).
        tokens: (B, T), int64: which ones they are.
    """

    vectors: Tensor
    tokens: Tensor


class Codebook(nn.Module):
    r"""K vectors that follow the means of the latents nearest to them.

    $N_i \leftarrow \gamma N_i + (1-\gamma) n_i$, $m_i \leftarrow \gamma m_i + (1-\gamma) \sum z$,
    $e_i = m_i / N_i$ with the n_i latents of a batch that are nearest to e_i: k-means, averaged
    over training (van den Oord et al., 2017, appendix A.1). A vector whose N_i has fallen below
    `least` would never move again, and starts anew at a random latent of the batch (as in Dhariwal
    et al., 2020, section 3.1).

    Args:
        codes: K, >= 1.
        token_dim: d, >= 1.
        decay: gamma, in [0, 1).
        least: Latents a batch, on average, below which a vector starts anew; 0: never.

    Raises:
        UsageError: If a number is out of range.
    """

    vectors: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, codes: int, token_dim: int, decay: float = 0.99, least: float = 0.1) -> None:
        super().__init__()
        if codes < 1 or token_dim < 1:
            raise UsageError(
                f"prior.codes={codes} and prior.token_dim={token_dim} must be 1 or more"
            )
        if not 0 <= decay < 1:
            raise UsageError(f"prior.decay={decay} must be in [0, 1)")
        self.decay, self.least = decay, least
        self.register_buffer("vectors", torch.randn(codes, token_dim))
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", self.vectors.clone())

    def forward(self, z: Tensor) -> Quantised:
        """The nearest vectors of latents (B, T, d)."""
        tokens = torch.cdist(z.detach().to(self.vectors).flatten(0, 1), self.vectors).argmin(1)
        tokens = tokens.unflatten(0, z.shape[:2])
        return Quantised(self.vectors[tokens], tokens)

    @torch.no_grad()
    def follow(self, z: Tensor, tokens: Tensor) -> None:
        """Move towards the means of latents (B, T, d) with their tokens (B, T)."""
        points, chosen = z.detach().to(self.vectors).flatten(0, 1), tokens.flatten()
        counts = chosen.bincount(minlength=len(self.counts)).to(points)
        sums = torch.zeros_like(self.sums).index_add_(0, chosen, points)
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        self._restart(points)
        used = self.counts > 0
        self.vectors[used] = self.sums[used] / self.counts[used, None]

    def _restart(self, points: Tensor) -> None:
        idle = self.counts < self.least
        fresh = points[torch.randint(len(points), idle.shape, device=points.device)]
        self.counts[idle] = 1.0
        self.sums[idle] = fresh[idle]


class _Coded(constraints.Constraint):
    """Latents (..., D) that are vectors of a codebook, one for each token."""

    is_discrete = True
    event_dim = 1

    def __init__(self, codebook: Codebook, positions: int) -> None:
        self.codebook, self.positions = codebook, positions

    def check(self, value: Tensor) -> Tensor:
        """Whether they are, (...)."""
        parts = value.reshape(-1, self.positions, self.codebook.vectors.shape[1])
        return (parts == self.codebook(parts).vectors).all(-1).all(-1).reshape(value.shape[:-1])


class TokenDistribution(Distribution):
    """p(z) over T vectors of a codebook in one: a product of conditionals of their tokens.

    It is discrete: `log_prob` is a probability, and there is no `rsample`.

    Args:
        codebook: The vectors.
        network: Maps tokens (B, T) to logits (B, T, K), each from the tokens before it.
        positions: T.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = False

    def __init__(
        self, codebook: Codebook, network: Callable[[Tensor], Tensor], positions: int
    ) -> None:
        self.codebook, self.network, self.positions = codebook, network, positions
        size = positions * codebook.vectors.shape[1]
        super().__init__(event_shape=torch.Size([size]), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Vectors of the codebook."""
        return _Coded(self.codebook, self.positions)

    def tokens_log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of tokens (B, T), (B,), nats."""
        logits = self.network(tokens).float()
        # Not `cross_entropy`, which has no deterministic kernel for a grid of tokens on a GPU.
        return logits.mT.log_softmax(1).gather(1, tokens[:, None]).squeeze(1).sum(1)

    def sample_tokens(self, count: int) -> Tensor:
        """Draw tokens from left to right, (count, T)."""
        tokens = torch.zeros(
            count, self.positions, dtype=torch.int64, device=self.codebook.vectors.device
        )
        for position in range(self.positions):
            logits = self.network(tokens)[:, position].float()
            tokens[:, position] = Categorical(logits=logits, validate_args=False).sample()
        return tokens

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, (*sample_shape, D)."""
        shape = torch.Size(sample_shape)
        vectors = self.codebook.vectors[self.sample_tokens(shape.numel())]
        return vectors.reshape(*shape, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of the tokens nearest to z (..., D), (...), nats."""
        flat = value.reshape(-1, self.positions, self.codebook.vectors.shape[1])
        return self.tokens_log_prob(self.codebook(flat).tokens).reshape(value.shape[:-1])


class TokenPrior(Prior):
    """A codebook and an autoregressive network over its tokens (van den Oord et al., 2017).

    Args:
        latent_dim: D = T d.
        network: Factory of the network over tokens, called with `codes` and `positions`.
        codes: K, vectors in the codebook.
        token_dim: d, a divisor of D.
        decay: Of the codebook's averages; see `Codebook`.

    Raises:
        UsageError: If the latents are no whole number of tokens.
    """

    def __init__(
        self,
        latent_dim: int,
        network: Callable[..., nn.Module],
        codes: int = 128,
        token_dim: int = 4,
        decay: float = 0.99,
    ) -> None:
        super().__init__()
        self.codebook = Codebook(codes, token_dim, decay)
        self.positions, rest = divmod(latent_dim, token_dim)
        if rest or not self.positions:
            raise UsageError(
                f"model.latent_dim={latent_dim} must be a multiple of prior.token_dim={token_dim}"
            )
        self.network = network(codes=codes, positions=self.positions)

    def forward(self) -> TokenDistribution:
        """The distribution over z, event shape (D,)."""
        return TokenDistribution(self.codebook, self.network, self.positions)

    def split(self, z: Tensor) -> Tensor:
        """Latents (B, D) as the places of tokens, (B, T, d)."""
        return z.unflatten(1, (self.positions, -1))
