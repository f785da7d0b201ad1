"""How much memory there is to take, and what is said where there is too little."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from gen_models import errors

GROUPS = (
    ("", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (
        "memory",
        "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
"""Of Linux's control groups, versions 2 and 1: controller, folder, files, and an entry of
`memory.stat`."""


def enough_memory() -> AbstractContextManager[None]:
    """Tell of too little memory for the images in one line that names the way out.

    Raises:
        UsageError: If there was too little.
    """
    return errors.enough_memory(
        "data: too little memory for the images; keep them on disk with data.in_memory=false, or "
        "make them smaller with data.image_size"
    )


def free_memory(system: Path = Path("/")) -> int | None:
    """Bytes that this process may still take; None where the system does not say.

    Args:
        system: Where `proc` and `sys` lie.
    """
    asked = [lambda: _free_in_all(system), *(_asker(system, *group) for group in GROUPS)]
    told = [free for ask in asked if (free := _told(ask)) is not None]
    return min(told, default=None)


def _told(ask: Callable[[], int]) -> int | None:
    try:
        return ask()
    except (OSError, ValueError, StopIteration):
        return None


def _free_in_all(system: Path) -> int:
    lines = (system / "proc/meminfo").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def _asker(
    system: Path, controller: str, folder: str, limit: str, used: str, cache: str
) -> Callable[[], int]:
    """What a container, or a job of a cluster, leaves; "max" is no number, and no limit."""

    def ask() -> int:
        told = (system / "proc/self/cgroup").read_text().splitlines()
        groups = (line.split(":", 2) for line in told)
        own = next(path for _, name, path in groups if name == controller)
        place = system / folder / own.lstrip("/")
        if not (place / limit).exists():  # seen from inside a container, the group is the root
            place = system / folder
        kept = (line.split() for line in (place / "memory.stat").read_text().splitlines())
        # Pages of files, which are given back as soon as somebody wants them.
        cached = next(int(size) for name, size in kept if name == cache)
        return int((place / limit).read_text()) - int((place / used).read_text()) + cached

    return ask
