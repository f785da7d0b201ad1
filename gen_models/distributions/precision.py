"""The precision in which densities are computed."""

from __future__ import annotations

import torch
from torch import Tensor


def widened(values: Tensor) -> Tensor:
    """The same numbers in float32 where autocast gave half precision, which has too few digits.

    Args:
        values: Any shape, floating.

    Returns:
        The same shape, float32; float64 stays.

    Example:
        >>> widened(torch.zeros(2, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
