"""Permutations that stay the same on every machine, and the splits drawn from them."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from gen_models.data.draws import SPLIT_STREAM, words
from gen_models.errors import UsageError


def permutation(count: int, seed: int, stream: int) -> Tensor:
    """A permutation of 0..count-1, a pure function of its arguments.

    It sorts `draws.words`, keyed by (seed, stream).

    Args:
        count: How many numbers to permute.
        seed: Which family of permutations, 0 <= seed < 2**64.
        stream: Which member of it, 0 <= stream < 2**64.

    Returns:
        (count,), int64.

    Example:
        >>> permutation(5, seed=0, stream=0).tolist()
        [0, 2, 1, 4, 3]
    """
    return torch.from_numpy(np.argsort(words(count, seed, stream), kind="stable"))


def split(count: int, seed: int, shares: Mapping[str, float]) -> dict[str, Tensor]:
    """Disjoint index sets that together cover 0..count-1.

    Args:
        count: How many images there are.
        seed: Alone decides who goes where.
        shares: The parts to take off, in this order, each a share in [0, 1) of what is left.

    Returns:
        One int64 index tensor per share and, under `train`, the rest. Every part is in random
        order, so that its first few members are a fair sample even of a set sorted by class.

    Example:
        >>> parts = split(100, seed=0, shares={"test": 0.2, "validation": 0.1})
        >>> {name: len(part) for name, part in parts.items()}
        {'test': 20, 'validation': 8, 'train': 72}
    """
    rest = permutation(count, seed, SPLIT_STREAM)
    parts = {}
    for name, share in shares.items():
        size = round(share * len(rest))
        parts[name], rest = rest[:size], rest[size:]
    return {**parts, "train": rest}


def check_seed(name: str, seed: int) -> int:
    """The seed itself, if a generator's key can hold it.

    Raises:
        UsageError: If it is no integer in 0..2**64-1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise UsageError(f"data.{name}={seed!r} must be a whole number from 0 to 2**64 - 1")
    return seed


def check_splits(
    parts: Mapping[str, Tensor], name: str, shares: Mapping[str, float], batch_size: int
) -> None:
    """Refuse splits that are empty, or too small for a batch.

    Args:
        parts: Per split, which images it takes.
        name: Of the data.
        shares: What was asked for, for the message.
        batch_size: Images per batch.

    Raises:
        UsageError: If there is such a split.
    """
    for split_name, part in parts.items():
        if not len(part):
            raise UsageError(
                f"data: the {split_name} split of {name} is empty; give more images or other "
                f"shares than data.validation={shares['validation']} and data.test={shares['test']}"
            )
    count = len(parts["train"])
    if count < batch_size:
        raise UsageError(
            f"data.batch_size={batch_size} is larger than the {count} training images of {name}; "
            f"choose at most {count}"
        )
