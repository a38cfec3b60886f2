"""What ends a program of this package in one line."""


class JobError(RuntimeError):
    """The program can't go on. The message says why, and what to do."""
