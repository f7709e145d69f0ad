"""What the machine itself tells: of its CPU time, and of its clocks."""

from pathlib import Path
from time import perf_counter_ns, time_ns
from typing import NamedTuple

_STAT = Path("/proc/stat")
_GOVERNORS = Path("/sys/devices/system/cpu"), "cpu[0-9]*/cpufreq/scaling_governor"


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


class Moment(NamedTuple):
    """The begin of what is watched."""

    cpu: CpuTimes | None
    epoch_ns: int
    """The wall clock at the monotonic clock's zero."""

    @classmethod
    def now(cls) -> "Moment":
        """Read everything."""
        return cls(CpuTimes.now(), time_ns() - perf_counter_ns())


class Machine(NamedTuple):
    """What became of the machine in the meantime."""

    idle_share: float | None
    """Of its CPU time; None where the system does not tell."""
    stolen_share: float | None
    clock_step_s: float
    """How far the wall clock moved against the monotonic one."""
    governors: tuple[str, ...]
    """What decides on the CPUs' frequencies (Linux: cpufreq); empty where nothing tells."""


def since(before: Moment) -> Machine:
    """Compare with now."""
    after = Moment.now()
    step_s = (after.epoch_ns - before.epoch_ns) / 1e9
    if before.cpu is None or after.cpu is None or after.cpu.total == before.cpu.total:
        return Machine(None, None, step_s, _governors())
    total = after.cpu.total - before.cpu.total
    idle, stolen = after.cpu.idle - before.cpu.idle, after.cpu.stolen - before.cpu.stolen
    return Machine(idle / total, stolen / total, step_s, _governors())


def _governors() -> tuple[str, ...]:
    folder, pattern = _GOVERNORS
    try:
        return tuple(sorted({file.read_text("ascii").strip() for file in folder.glob(pattern)}))
    except OSError:
        return ()
