"""Whether a request asks for its timings."""

import re

_SAMPLED = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][13579bdf](?:-.*)?")


def sampled(traceparent: str) -> bool:
    """Whether a W3C trace context asks to be recorded."""
    return _SAMPLED.fullmatch(traceparent.strip()) is not None
