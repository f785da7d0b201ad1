"""Memory that a process keeps from one training step to the next."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt(3), by their numbers in malloc.h."""

MEBIBYTE = 2**20


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let the C library keep what a step frees, for the next one, which wants as much again.

    glibc gives large blocks and the end of its heap back to the system as soon as they are free;
    each step then gets them again page by page, which takes up to a quarter of a step of
    convolutions on a CPU (docs/decisions/0011). Within the block the process stays as large as its
    largest step. Nothing is done where the user has set glibc's own variables (MALLOC_..._,
    GLIBC_TUNABLES), or the C library is another.
    """
    library = ctypes.CDLL(None) if os.name == "posix" else None  # Windows has no such handle
    tune = getattr(library, "mallopt", None)
    told = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if library is None or tune is None or told:
        yield
        return
    tune(TRIM_THRESHOLD, -1)
    # Older versions take no more than half of a heap of theirs.
    _ = tune(MMAP_THRESHOLD, 1024 * MEBIBYTE) or tune(MMAP_THRESHOLD, 32 * MEBIBYTE)
    try:
        yield
    finally:
        # Where glibc comes to by itself once large blocks were freed; what is free now goes back.
        tune(MMAP_THRESHOLD, 32 * MEBIBYTE)
        tune(TRIM_THRESHOLD, 64 * MEBIBYTE)
        library.malloc_trim(0)
