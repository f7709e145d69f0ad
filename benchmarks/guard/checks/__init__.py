"""The table of checks, a topic a file."""

from typing import Final

from benchmarks.guard.check import Topic
from benchmarks.guard.checks import (
    afterwards,
    closure,
    middleware,
    speed,
    stalls,
    startup,
    truth,
)

QUICK: Final[tuple[Topic, ...]] = (
    *speed.TOPICS,
    *truth.TOPICS,
    *middleware.TOPICS,
    *afterwards.TOPICS,
    *startup.TOPICS,
    *closure.TOPICS,
)
LONG: Final[tuple[Topic, ...]] = stalls.TOPICS
