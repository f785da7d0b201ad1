"""How a run stands, as its folder tells: what its status says, and whether a process is at work."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from gen_models.records.schema import one_line

STATUS = "status.json"

LOCK = ".lock"
"""Held by the process that works on a run folder, as long as it lives."""


def read_status(folder: Path) -> dict[str, Any]:
    """What the status of a run says; empty where it says nothing that can be read."""
    return read_mapping(folder / STATUS)


def read_mapping(path: Path) -> dict[str, Any]:
    """What a JSON file maps; empty where there is no such file, or nothing that can be read."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # the last: thousands of brackets
        return {}
    return told if isinstance(told, dict) else {}


def running(**told: Any) -> str:
    """The status of a run that begins here and now, for its file."""
    return json.dumps({"status": "running", "host": platform.node(), **told}) + "\n"


def at_work(folder: Path) -> bool | None:
    """Whether a process works on a run folder whose status says that it is running.

    The system gives the lock of a folder back when its process ends, however it ends. A lock that
    is held is seen by all on its machine; over a network file system it may be, or not.

    Returns:
        True: a process has the lock. False: the run was begun on this machine, and none has it.
        None: it was begun elsewhere, or does not say where, and from here no process is seen.
    """
    if _held(folder / LOCK):
        return True
    return False if read_status(folder).get("host") == platform.node() else None


def unfinished(folder: Path) -> str:
    """What is known of a run without a record, in one line; empty where nothing is.

    The file may be a stranger's: its texts are shown and not obeyed, the command in full.
    """
    told = read_status(folder)
    status = told.get("status")
    if not isinstance(status, str):
        return ""
    if status != "running":
        reason = told.get("reason")
        why = f" ({one_line(reason)})" if reason and isinstance(reason, str) else ""
        return f"status.json says {one_line(status)}{why}"
    go_on, command = "remove it and begin anew", told.get("go_on")
    if isinstance(command, str):
        go_on = f"go on with: {one_line(command, most=10_000)}"
    match at_work(folder):
        case True:
            return "status.json says running, and a process is at work on it"
        case False:
            return f"it ended without a word: killed, or the machine stopped; {go_on}"
    host = told.get("host")
    place = f"; it was begun on {one_line(host)}" if isinstance(host, str) else ""
    return (
        "status.json says running, and no process of this machine is at work on it, as far as it "
        f"can see{place}; if none is elsewhere, {go_on}"
    )


def _held(lock: Path) -> bool:
    """Whether another has it; looked for by a lock that may be shared, and only for a moment."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        return False
    try:
        number = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(number)
    return False
