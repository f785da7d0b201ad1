"""The one kind of error that is the user's to mend."""


class UsageError(ValueError):
    """Bad input, said in one line: what is wrong, where, and what to do.

    `run.py` prints the message alone and exits with status 2; anything else that is raised is a
    defect of the program and keeps its traceback.
    """


class Diverged(RuntimeError):
    """A run ended with a loss or a weight that is not finite; record and report are written.

    `run.py` prints the message and exits with status 1, so that no script takes it for success; a
    sweep goes on with its other jobs.
    """
