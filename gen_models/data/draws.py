"""Random numbers that are the same on every machine: raw words of Philox, and what is made of them.

NumPy promises the raw stream of a generator across versions; nobody promises what a sampler makes
of it next year. Global random state is neither read nor moved.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# The second word of a Philox key names what the numbers are for. Epochs count up from 0, and so do
# the fresh draws of each epoch from the middle; the rest takes the largest words, so that no order
# ever shares its numbers with what it orders.
SPLIT_STREAM = 2**64 - 1
TRAINING_STREAM = 2**64 - 2
TEST_STREAM = 2**64 - 3
PARAMETER_STREAM = 2**64 - 4
FRESH_STREAM = 2**63


def words(count: int, seed: int, stream: int, position: int = 0) -> NDArray[np.uint64]:
    """Raw output of the counter-based generator Philox (Salmon et al., 2011).

    Args:
        count: How many words.
        seed: First word of the key, 0 <= seed < 2**64.
        stream: Second word of the key, 0 <= stream < 2**64.
        position: Which of the 2**64 stretches of the stream; they do not overlap.

    Returns:
        (count,), uint64, a pure function of the arguments.
    """
    key = np.array([seed, stream], dtype=np.uint64)
    counter = np.array([0, position, 0, 0], dtype=np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(count)


def uniform(rows: int, columns: int, seed: int, stream: int) -> Tensor:
    """Numbers (rows, columns), float64, inside (0, 1); fewer rows are the first of more.

    Example:
        >>> uniform(2, 2, seed=0, stream=0).round(decimals=3).tolist()
        [[0.012, 0.242], [0.111, 0.564]]
    """
    raw = words(rows * columns, seed, stream) >> np.uint64(11)
    return torch.from_numpy((raw.astype(np.float64) + 0.5) / 2**53).view(rows, columns)


def normal(uniform: Tensor) -> Tensor:
    """Standard normal numbers of uniform ones in (0, 1), of any shape, by the inverse of the CDF.

    Example:
        >>> normal(torch.tensor([0.5, 0.975], dtype=torch.float64)).round(decimals=4).tolist()
        [0.0, 1.96]
    """
    from scipy.special import ndtri  # heavy, and only needed here

    return torch.from_numpy(ndtri(uniform.numpy()))
