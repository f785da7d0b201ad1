"""Files that are either whole or absent."""

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file so that a reader, or a crash, meets the old one or the new one, never a part.

    The content goes to a file beside the target, is flushed to the disk and then renamed over it.

    Args:
        path: The target; its folder is there already.
        content: Text is written as UTF-8 with its line feeds as they are.

    Returns:
        The target.

    Raises:
        OSError: If the folder does not take the file; an older file is left as it was.
    """
    # The process number keeps two writers apart; the leading dot hides the part from searches.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
