"""The one kind of error that is the user's to mend, and the ends that are nobody's defect."""

from collections.abc import Iterator
from contextlib import contextmanager


class UsageError(ValueError):
    """Bad input, said in one line: what is wrong, where, and what to do.

    `run.py` prints the message alone and exits with status 2; anything else that is raised is a
    defect of the program and keeps its traceback.
    """


class NotFinite(UsageError):
    """Samples, features or a distance of theirs that are not finite: the model has diverged."""


def out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, of the machine or of a GPU."""
    named = type(error).__name__ == "OutOfMemoryError"  # torch's, which is not imported for this
    told = "can't allocate memory" in str(error) or "out of memory" in str(error)
    return isinstance(error, MemoryError) or named or (isinstance(error, RuntimeError) and told)


@contextmanager
def enough_memory(told: str) -> Iterator[None]:
    """Say what to make smaller where there is too little memory.

    Raises:
        UsageError: If there is.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        # Not `from error`, whose frames would hold on to all that fills the memory.
        raise UsageError(told) from None


class Diverged(RuntimeError):
    """A run ended with a loss or a weight that is not finite; record and report are written.

    `run.py` prints the message and exits with status 1, so that no script takes it for success; a
    sweep goes on with its other jobs.
    """


class Interrupted(RuntimeError):
    """A signal has ended one job of a sweep; the others go on, and the sweep ends with status 1."""
