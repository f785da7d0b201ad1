"""Files that are either whole or absent."""

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = ".part"
"""How the name of a file ends that is being written; it begins with a dot."""


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file so that a reader, or a crash, meets the old one or the new one, never a part.

    Args:
        path: The target; its folder is there already.
        content: Text is written as UTF-8 with its line feeds as they are.

    Returns:
        The target.

    Raises:
        OSError: If the folder does not take the file; an older file is left as it was.
    """
    with whole(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_beside(path: Path, content: bytes) -> Path:
    """Write a file whole; where there is another of that name, under a name that content decides.

    So whoever has been told of the old one still finds it.

    Returns:
        Where the content is.
    """
    if path.exists() and path.read_bytes() != content:
        path = path.with_stem(f"{path.stem}-{hashlib.sha256(content).hexdigest()[:8]}")
    return write_whole(path, content)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside the target to write to, which takes the target's place when the block ends.

    It is flushed to the disk before it is renamed, and the folder behind it, so that the new name
    outlives a power cut too.

    Raises:
        OSError: If the folder does not take the file; an older file is left as it was.
    """
    # A number of its own keeps two writers apart, on two machines too; the leading dot hides the
    # part from searches.
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{PART}")
    try:
        yield part
        sync(part)
        os.replace(part, path)
    except OSError as error:
        # A full disk does not say which file it was about; without a number nor would the text be.
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):  # what went wrong before is the error to be seen
            part.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Raises:
        OSError: If a file is not; that a file system cannot say so of a folder is no error.
    """
    folder = path.is_dir()
    try:
        number = os.open(path, os.O_RDONLY)
    except OSError:
        if folder:  # Windows opens no folder
            return
        raise
    try:
        with suppress(*([OSError] if folder else [])):
            os.fsync(number)
    finally:
        os.close(number)


def remove_parts(folder: Path, older_than: float = 0.0) -> None:
    """Remove what writers that were killed left in a folder and below.

    Args:
        folder: Whose writers have ended.
        older_than: Seconds; younger parts may be of a writer that is at work.
    """
    for part in folder.rglob(f".*{PART}"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime >= older_than:
                part.unlink()
