"""The one kind of error that is the user's to mend."""


class UsageError(ValueError):
    """Bad input, said in one line: what is wrong, where, and what to do.

    `run.py` prints the message alone and exits with status 2; anything else that is raised is a
    defect of the program and keeps its traceback.
    """
