"""Networks that see the past alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gen_models.networks.layers import at_least_one


class CausalGRU(nn.Module):
    """Tokens (B, T) to logits (B, T, K) of each token, given those before it: a recurrent network.

    Gated recurrent units (Cho et al., 2014) read each token one place late, and the place itself.

    Args:
        codes: K, values that a token can have.
        positions: T.
        width: Of embeddings and hidden state.
    """

    def __init__(self, codes: int, positions: int, width: int = 128) -> None:
        super().__init__()
        at_least_one("width", width)
        self.embedding = nn.Embedding(codes, width)
        self.places = nn.Parameter(torch.zeros(positions, width))
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.logits = nn.Linear(width, codes)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) int64 to (B, T, K)."""
        late = nn.functional.pad(self.embedding(tokens[:, :-1]), (0, 0, 1, 0))
        return self.logits(self.recurrent(late + self.places)[0])
