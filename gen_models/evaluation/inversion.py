"""Reconstruction through any decoder, by search for the latent that makes an image."""

from __future__ import annotations

import torch
from torch import Tensor

from gen_models.capabilities import Decodes


def invert(
    model: Decodes,
    pixels: Tensor,
    steps: int,
    restarts: int,
    rate: float,
    generator: torch.Generator | None = None,
    guesses: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""$\arg\min_z |decode(z) - x|^2$ by Adam from several starts (inference via optimisation).

    The same search for every family, encoder or not (Metz et al., 2017, section 3.4.1). The rate
    falls to 0 along a half cosine. z is not held to the prior: its squared norm belongs beside the
    error. Starts do not touch one another: with guesses an image ends no worse than without.

    Args:
        model: In evaluation mode; its parameters are not moved.
        pixels: (B, C, H, W), in [0, 1].
        steps: Steps of Adam.
        restarts: Starts an image, drawn from the prior; of all starts the best end is kept.
        rate: Adam's first learning rate.
        generator: Where these draws come from.
        guesses: (G, B, D), further starts: an encoder's, say.

    Returns:
        Pixels (B, C, H, W) of the best reconstructions, and their latents (B, D).
    """
    count = len(pixels)
    z = model.sample_prior(count * restarts, generator).detach()
    if guesses is not None:
        z = torch.cat((z, guesses.detach().flatten(0, 1)))
    z.requires_grad_()
    starts = len(z) // count
    target = pixels.repeat(starts, 1, 1, 1)
    optimizer = torch.optim.Adam([z], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    with torch.enable_grad():
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            (model.decode(z) - target).square().sum().backward(inputs=[z])
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        found = model.decode(z)
        errors = (found - target).square().mean((1, 2, 3)).view(starts, count)
        least = errors.nan_to_num(nan=torch.inf).argmin(0)  # argmin would choose a NaN
        best = least * count + torch.arange(count, device=pixels.device)
        return found[best], z.detach()[best]
