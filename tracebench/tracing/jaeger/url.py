"""Base URLs as people write them."""

from urllib.parse import urlsplit

from tracebench.model.errors import UsageError
from tracebench.system.redaction import redacted


def base_url(option: str, text: str) -> str:
    """A base URL without a slash at its end.

    Args:
        option: what gave it.
        text: the URL: `http` or `https`, a host, and perhaps a port and a base path.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or parts.query or parts.fragment or any(char.isspace() for char in text):
        raise UsageError(
            f"{option} {redacted(text)!r} is no base URL: give one like http://localhost:16686"
        )
    if parts.username is not None:
        raise UsageError(f"{option} has a password in it, which is not sent: give it without")
    return text.rstrip("/")
