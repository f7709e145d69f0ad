"""What the machine itself tells: how much of its CPU time was taken away, or left over."""

from pathlib import Path
from typing import NamedTuple

_STAT = Path("/proc/stat")


class CpuTimes(NamedTuple):
    """The time of all CPUs together since the machine was started, in its ticks (proc_stat(5))."""

    total: int
    idle: int
    stolen: int
    """Another machine of the same host had the CPU."""

    @classmethod
    def now(cls) -> "CpuTimes | None":
        """Read them; None where the system does not tell."""
        try:
            first = _STAT.read_text(encoding="ascii").partition("\n")[0]
        except OSError:
            return None
        user, nice, system, idle, wait, irq, soft, stolen = map(int, first.split()[1:9])
        total = user + nice + system + idle + wait + irq + soft + stolen
        return cls(total, idle + wait, stolen)


def shares(before: CpuTimes | None, after: CpuTimes | None) -> tuple[float, float] | None:
    """The shares of the CPU time between two readings that were idle, and that were stolen."""
    if before is None or after is None or after.total == before.total:
        return None
    total = after.total - before.total
    return (after.idle - before.idle) / total, (after.stolen - before.stolen) / total
