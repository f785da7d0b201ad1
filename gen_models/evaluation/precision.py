"""float32 that is float32, and the same bits twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """Neither autocast nor TF32 nor bfloat16 in the place of float32: a distance notices.

    Whatever a user or Lightning has set comes back afterwards, by the settings of each kind of
    operation: torch (from 2.9) refuses to mix them with the older global ones.
    """
    backends: Any = torch.backends
    kinds: list[Any] = [
        kind
        for library in (backends.cuda, backends.cudnn, backends.mkldnn)
        for kind in (getattr(library, "matmul", None), getattr(library, "conv", None))
        if hasattr(kind, "fp32_precision")
    ]
    before = [kind.fp32_precision for kind in kinds]
    older: list[Any] = [] if kinds else [backends.cuda.matmul, backends.cudnn]
    allowed = [kind.allow_tf32 for kind in older]
    try:
        for kind in kinds:
            kind.fp32_precision = "ieee"
        for kind in older:
            kind.allow_tf32 = False
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        for kind, value in zip(kinds, before, strict=True):
            kind.fp32_precision = value
        for kind, allow in zip(older, allowed, strict=True):
            kind.allow_tf32 = allow


@contextmanager
def deterministic() -> Iterator[None]:
    """The kernels of cuDNN that give the same bits twice."""
    before, torch.backends.cudnn.deterministic = torch.backends.cudnn.deterministic, True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
