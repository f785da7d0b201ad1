"""Files that are either whole or absent."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> Path:
    """Write text so that a reader, or a crash, meets the old file or the new one, never a part.

    The text goes to a file beside the target, is flushed to the disk and then renamed over it.

    Args:
        path: The target; its folder is there already.
        text: Written as UTF-8 with plain line feeds.

    Returns:
        The target.

    Raises:
        OSError: If the folder does not take the file; an older file is left as it was.
    """
    # The process number keeps two writers apart; the leading dot hides the part from searches.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
