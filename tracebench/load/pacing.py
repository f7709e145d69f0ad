"""When to send: pure rules that read no clock."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Each slot sends its next request when the last was answered, within these bounds."""

    requests: int = sys.maxsize
    duration_ns: int = sys.maxsize
