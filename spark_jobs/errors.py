"""Base class of the errors that end a program of this package with a one-line message."""


class JobError(RuntimeError):
    """The program can't continue. The message says why and, if possible, what to do."""
