"""The errors that a user can cause, and how they quote a server.

Each message is one line: what failed, the offending value, what to change. The command line prints
it to standard error and exits with `exit_status`; no other exception is caught there.
"""

EXCERPT = 200


class TracebenchError(Exception):
    """Root of every error that tracebench raises on purpose."""

    exit_status = 2


class UsageError(TracebenchError):
    """The user's input is wrong: an option, a file or a URL."""


class TargetError(TracebenchError):
    """A target cannot be used: it is unreachable, or it does not answer as expected."""


def excerpt(text: str | bytes, most: int = EXCERPT) -> str:
    """The start of a server's message, on one line and without control characters."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
