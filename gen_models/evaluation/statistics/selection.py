"""The few values of a large tile that matter, by the minima of groups of them."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from gen_models.evaluation.rows import each


def smallest(values: Tensor, k: int, groups: int = 64) -> tuple[Tensor, Tensor]:
    """The k smallest of each row (R, C), in no order, and their columns; fewer where C < k.

    The k smallest stand in the k groups with the smallest minima, and minima are cheap: a selection
    over all columns would take longer than the products.
    """
    rows, columns = values.shape
    size = columns // groups
    if size < 2 or k >= groups:
        return values.topk(min(k, columns), largest=False, sorted=False)
    # Part by part, which is as fast for a transposed tile; `amin` is 50 times slower there.
    minima = reduce(torch.minimum, values[:, : groups * size].split(groups, dim=1))
    chosen = minima.topk(k, largest=False, sorted=False).indices
    everyone = torch.arange(columns, device=values.device)
    members = (chosen[:, None] + everyone[: groups * size : groups, None]).reshape(rows, -1)
    members = torch.cat([members, everyone[groups * size :].expand(rows, -1)], dim=1)
    found, order = values.gather(1, members).topk(k, largest=False, sorted=False)
    return found, members.gather(1, order)


def few_below(values: Tensor, groups: int = 32) -> tuple[Tensor, Tensor]:
    """Rows and columns of the values (R, C) that are at most 0, fast where they are few."""
    flat = values.flatten()
    size = len(flat) // groups
    hit = (flat[: groups * size].view(groups, size).amin(0) <= 0).nonzero()[:, 0]
    members = (hit + size * torch.arange(groups, device=flat.device)[:, None]).flatten()
    rest = torch.arange(groups * size, len(flat), device=flat.device)
    members = torch.cat([members, rest])
    members = members[flat[members] <= 0]
    return members // values.shape[1], members % values.shape[1]


def not_finite(features: Tensor) -> Tensor:
    """Which rows of (N, D) hold a value that is not finite; indices, ascending."""

    def bad(part: Tensor) -> Tensor:
        low, high = part.aminmax(dim=1)  # NaN where any is; several times faster than a mask
        return ~(low.isfinite() & high.isfinite())

    return each(bad, features).nonzero()[:, 0]
