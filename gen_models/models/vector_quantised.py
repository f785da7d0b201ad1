"""The VQ-VAE: discrete latents, and a prior that learns to draw them."""

from __future__ import annotations

import torch
from torch import Tensor

from gen_models.capabilities import Reconstructs
from gen_models.data.ranges import Scaler
from gen_models.distributions.tokens import Quantised, TokenPrior
from gen_models.errors import UsageError
from gen_models.models.latent import LatentVariableModel, NetworkFactory, Shape
from gen_models.models.phase import OptimizerFactory, Phase
from gen_models.modes import evaluating
from gen_models.recipes import build


class VectorQuantisedVAE(LatentVariableModel, Reconstructs):
    r"""$|x - D(e)|^2 + \beta\,|z_e - \mathrm{sg}[e]|^2$, sums over pixels and latents.

    van den Oord et al. (2017), equation 3. The encoder's output z_e is cut into T tokens of d
    numbers, each moved to the nearest vector of the codebook: e, all in one vector of D = T d
    latents for the same generator as everywhere. The gradient of e is handed to z_e as it is
    (straight through); the codebook follows by moving averages. Beside it a network learns the
    tokens' distribution, and samples go tokens -> e -> x.

    No likelihood is claimed: log p(tokens) is known, log p(x) is not.

    Args:
        shape: (C, H, W) of the images.
        latent_dim: D.
        generator: Factory of the generator D, called with `latent_dim` and `shape`.
        trunk: Factory of the encoder, called with `shape` and `features`.
        optimizer: Makes the optimiser of each phase.
        prior: Factory of a `TokenPrior`, called with `latent_dim`.
        commitment: beta, >= 0.
        scaler: Maps pixels in [0, 1] to what the encoder sees; identity by default.
        ema_half_life: Images in which the generator's average forgets half of its past; None: no
            average.

    Raises:
        UsageError: If the prior is one over other latents, or beta is negative.
    """

    prior: TokenPrior

    def __init__(
        self,
        *,
        shape: Shape,
        latent_dim: int,
        generator: NetworkFactory,
        trunk: NetworkFactory,
        optimizer: OptimizerFactory,
        prior: NetworkFactory,
        commitment: float = 0.25,
        scaler: Scaler | None = None,
        ema_half_life: float | None = None,
    ) -> None:
        arguments = locals()
        super().__init__(
            shape=shape,
            latent_dim=latent_dim,
            generator=generator,
            prior=prior,
            scaler=scaler,
            ema_half_life=ema_half_life,
        )
        self.remember(arguments)
        if not isinstance(self.prior, TokenPrior):
            raise UsageError(
                "a VQ-VAE draws tokens: model.prior must be a gen_models.distributions.TokenPrior"
            )
        if not commitment >= 0:
            raise UsageError(f"model.commitment must be 0 or more, not {commitment}")
        self.encoder = build(trunk, "model.trunk")(shape=self.shape, features=latent_dim)
        self.optimizer = build(optimizer, "model.optimizer")
        self.commitment = commitment

    def phases(self) -> list[Phase]:
        """The autoencoder, then the network over its tokens, which moves nothing else."""
        autoencoder = [*self.encoder.parameters(), *self.generator.parameters()]
        tokens = list(self.prior.network.parameters())
        return [
            Phase("autoencoder", self.loss, autoencoder, self.optimizer),
            Phase("tokens", self.token_loss, tokens, self.optimizer),
        ]

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        """Squared error and commitment, means over images, and how many codes are in use.

        In training the codebook follows the latents of the batch.

        Args:
            x: (B, C, H, W), scaled images.
        """
        z = self.prior.split(self.encoder(x))
        vectors, tokens = self.prior.codebook(z)
        made = self.decode(straight_through(z, vectors).flatten(1))
        error = (made - self.scaler.inverse(x)).square().flatten(1).sum(1).mean()
        distance = (z - vectors).square().flatten(1).sum(1).mean()
        if self.training:
            self.prior.codebook.follow(z, tokens)
        return {
            "loss": error + self.commitment * distance,
            "error": error,
            "distance": distance,
            "perplexity": perplexity(tokens, len(self.prior.codebook.counts)),
        }

    def token_loss(self, x: Tensor) -> dict[str, Tensor]:
        """Minus log p(tokens) of scaled images (B, C, H, W), nats per image."""
        tokens = self.quantise(x).tokens
        return {"loss": -self.prior().tokens_log_prob(tokens).mean()}

    @torch.no_grad()
    def quantise(self, x: Tensor) -> Quantised:
        """Codebook vectors (B, T, d) and tokens (B, T) of scaled images (B, C, H, W)."""
        with evaluating(self.encoder):
            return self.prior.codebook(self.prior.split(self.encoder(x)))

    @torch.no_grad()
    def reconstruct(self, pixels: Tensor) -> Tensor:
        """D(e), pixels (B, C, H, W) of pixels (B, C, H, W)."""
        with evaluating(self):
            return self.decode(self.quantise(self.scaler(pixels)).vectors.flatten(1))


def straight_through(z: Tensor, vectors: Tensor) -> Tensor:
    """The vectors, with the gradient of z: both (B, T, d)."""
    return z + (vectors - z).detach()


def perplexity(tokens: Tensor, codes: int) -> Tensor:
    """Exponential of the entropy of the codes' shares: 1 for one code in use, K for all alike.

    Args:
        tokens: Any shape, int64 in 0..K-1.
        codes: K.

    Returns:
        (), in [1, K].
    """
    shares = tokens.flatten().bincount(minlength=codes) / tokens.numel()
    return torch.special.entr(shares).sum().exp()
