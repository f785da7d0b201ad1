"""Samples that are copies to the byte, of one another or of training images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from gen_models.evaluation.rows import each

GROUP = 2**16
"""Hashes of images that are compared at a time, on average."""


def duplicates(images: Tensor) -> int:
    """Samples that equal an earlier one, byte for byte; (N, C, H, W), uint8 or float32."""
    digests = each(_digests, images)
    # In groups, so that no more than so many are held at once.
    groups = min(128, 1 + len(images) // GROUP)
    group = digests[:, 0] % groups
    distinct = sum(len(set(map(bytes, digests[group == g].numpy()))) for g in range(groups))
    return len(images) - distinct


def copies(images: Tensor, train: Tensor) -> int:
    """Samples (M, C, H, W) that equal one of the training images, byte for byte; of one dtype."""
    assert images.dtype == train.dtype, f"samples are {images.dtype}, images {train.dtype}"
    known = set(_hashes(train))
    return sum(digest in known for digest in _hashes(images))


def _hashes(images: Tensor) -> Iterator[bytes]:
    return (hashlib.sha256(image.tobytes()).digest() for image in images.numpy(force=True))


def _digests(images: Tensor) -> Tensor:
    """(N, 32), bytes."""
    held = bytearray(b"".join(_hashes(images)))
    return torch.frombuffer(held, dtype=torch.uint8).view(-1, 32)
