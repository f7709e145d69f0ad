"""What a run is judged by."""

from collections.abc import Mapping
from dataclasses import dataclass

from tracebench.model.exchange import Decomposition, Nanoseconds
from tracebench.model.measurement import Load
from tracebench.model.result import Floor, RequestCounts, Statistics


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run is judged by."""

    load: Load
    decomposition: Decomposition
    requests: RequestCounts
    stamps: Mapping[str, int]
    latency_ns: Nanoseconds
    """Of every success and every time-out, in the order of scheduling."""
    latency: Statistics | None
    components: Mapping[str, Statistics]
    floor: Floor | None = None


def part_of(part: float, whole: float) -> float:
    """A share; 0 of nothing."""
    return part / whole if whole else 0.0
