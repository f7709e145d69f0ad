"""How long a person waits for `--help`."""

from benchmarks.guard.arithmetic import AtMost
from benchmarks.guard.check import Bench, Check, Topic
from benchmarks.guard.sides import Side

TIMES = 3


def measure(side: Side, _bench: Bench) -> tuple[float]:
    return (min(side.python("-m", "tracebench", "--help").wall_s for _ in range(TIMES)) * 1e3,)


HOW = f"whole process, least of {TIMES}"
TOPICS = (Topic((Check("--help", "ms", AtMost(1.1), HOW),), measure, blocks=2),)
