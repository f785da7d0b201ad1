"""Checkpoints that are whole or absent, and tell of damage.

A checkpoint is torch's own file, a ZIP archive, and ends with the archive's comment, in which its
SHA-256 stands: the checksum lies in the file that it is of, so that no kill can part the two and a
copy takes it along. `torch.load` reads the file as any other.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from gen_models.errors import UsageError
from gen_models.records import whole

SEAL = b"sha256:"
LENGTH = 2
"""Bytes of an archive that say how long its comment is; they are its last where it has none."""


class WholeCheckpointIO(TorchCheckpointIO):
    """Lightning's way to the disk, with a checksum and without half files.

    Lightning renames its file from the system's temporary folder, which is a copy where that is
    another file system, and takes a folder that cannot be written to without a word.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint so that a crash leaves the old one or the new one.

        Args:
            checkpoint: Plain data and tensors.
            path: The target; its folder is made if it is not there.
            storage_options: `{"previous": PATH}` keeps there what the target was before.

        Raises:
            OSError: If the disk does not take it; the old one is left as it was.
        """
        target = Path(path)
        previous = (storage_options or {}).get("previous")
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target) as part:
            with part.open("wb") as stream:
                write_sealed(checkpoint, stream)
            if previous is not None and target.exists():
                keep(target, Path(previous))

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; nothing in it is run, whatever is asked for.

        Raises:
            UsageError: If it is damaged or missing.
        """
        return read_sealed(Path(path), map_location)


def write_sealed(checkpoint: dict[str, Any], stream: BinaryIO) -> None:
    """Write a checkpoint and, behind it, its SHA-256.

    Raises:
        OSError: If the disk does not take it.
    """
    counted: Any = _Digest(stream)
    try:
        torch.save(checkpoint, counted)
    except RuntimeError:  # torch closes its archive, which fails again, and tells of that alone
        if counted.error is not None:
            raise counted.error from None
        raise
    comment = SEAL + counted.hexdigest().encode()
    stream.seek(-LENGTH, os.SEEK_END)
    stream.write(len(comment).to_bytes(LENGTH, "little") + comment)
    stream.flush()


class _Digest:
    """Passes bytes on to a file, which torch does not seek in, and takes their digest.

    The length of the comment, which is not known yet, is left out.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.error: OSError | None = None
        self._digest = hashlib.sha256()
        self._held = b""

    def write(self, data: Any) -> int:
        try:
            self.stream.write(data)
        except OSError as error:
            self.error = error
            raise
        joined = self._held + bytes(data)
        self._digest.update(joined[:-LENGTH])
        self._held = joined[-LENGTH:]
        return len(data)

    def flush(self) -> None:
        self.stream.flush()

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def read_sealed(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint as plain data and tensors, if it is whole.

    Raises:
        UsageError: If there is none, or it is damaged.
    """
    problem = damage(path)
    if problem is not None:
        raise UsageError(f"{path}: {problem}")
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # torch's own text advises to switch the safety off
        raise UsageError(f"{path}: not a readable checkpoint") from error


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's file; None where nothing is.

    A checkpoint of another program, which has no SHA-256, is held against the archive's own sums.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            seal = archive.comment
            unsealed = not seal.startswith(SEAL)
            bad = archive.testzip() if unsealed else None
    except FileNotFoundError:
        return "there is no such file"
    except (OSError, zipfile.BadZipFile, EOFError, ValueError, NotImplementedError):
        return f"not a readable checkpoint: damaged, or no checkpoint ({_size(path)})"
    if unsealed:
        return f"damaged: {bad} does not fit its checksum" if bad else None
    found = _digest_of(path, path.stat().st_size - len(seal) - LENGTH)
    told = seal.removeprefix(SEAL).decode(errors="replace")
    if found != told:
        return f"damaged: its SHA-256 is {found[:12]}..., {told[:12]}... was written"
    return None


def _digest_of(path: Path, count: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while count > 0 and (data := stream.read(min(count, 1 << 20))):
            digest.update(data)
            count -= len(data)
    return digest.hexdigest()


def _size(path: Path) -> str:
    return f"{path.stat().st_size:,} bytes" if path.is_file() else "no file"


def keep(path: Path, previous: Path) -> None:
    """Give a file a second name, in place of what had it; at all times both names are whole."""
    with whole(previous) as part:
        try:
            os.link(path, part)
        except OSError:  # not every file system has links
            shutil.copyfile(path, part)
