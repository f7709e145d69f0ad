"""Whether a request asks for its timings."""

import re

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")
_SAMPLED = 1


def sampled(traceparent: str) -> bool:
    """Whether a W3C trace context asks to be recorded."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    return found is not None and bool(int(found[1], 16) & _SAMPLED)
