"""The one family of errors that a user can cause.

Each message is one line: what failed, the offending value, what to change. The command line
prints it on standard error and exits with `exit_status`; nothing else is ever caught there.
"""


class TracebenchError(Exception):
    """Root of every error that tracebench raises on purpose."""

    exit_status = 2


class UsageError(TracebenchError):
    """The request for work is wrong: an option, a file or a URL."""


class TargetError(TracebenchError):
    """A target cannot be used: it is not reachable, or it does not answer as it should."""
