"""Whether two sources of server times for the same request agree."""

from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from server_middleware.vocabulary import (
    INFERENCE,
    INFERENCE_PARTS,
    REPORTED_PARTS,
    SERVER_PROCESSING,
)
from tracebench.analysis.closure.selection import Selection, Subset
from tracebench.model.record.columns import ABSENT, Int64, summed
from tracebench.model.record.exchange import Differing, Timing
from tracebench.model.record.requests import Flags
from tracebench.model.record.server_times import DIFFERS, ServerTimes

_STAMPS_NS: Final = 1_000
"""Resolution of times in trace backends: a microsecond."""
_STAMPED_APART: Final = 0.02
"""Tolerated difference, as a fraction: two clocks are read in succession around the same work."""
_TOTAL_APART: Final = (1_000_000, 0.10)
"""How much shorter than a mirror's total a span may be, in ns and as a fraction: instrumentations
nest, and a reply's timing is made in between."""


class Told(NamedTuple):
    """The times that one source reports for many requests, in ns; `ABSENT` where not reported."""

    total_ns: Int64
    parts_ns: Mapping[str, Int64]

    def take(self, some: Flags) -> "Told":
        """Select the flagged requests."""
        return Told(self.total_ns[some], {name: ns[some] for name, ns in self.parts_ns.items()})

    def part(self, name: str) -> Int64:
        """One component's time, including the parts it is made of."""
        absent = np.broadcast_to(np.int64(ABSENT), len(self.total_ns))
        told = [self.parts_ns[one] for one in _made_of(name) if one in self.parts_ns]
        return summed(told) if len(told) > 1 else told[0] if told else absent


EXACT_NS: Final = 2**52
"""Times below this are exact as floats, so that `differences` and `differences_alike` agree."""


def differences(mirror: Timing, spans: Timing) -> dict[str, int]:
    """How much longer each component is by a request's spans than by its reply, in ns.

    A mirror's total is taken before the span ends, so the total only counts if it exceeds the
    span. A non-standard component only counts if both sources have it: it may be a proxy's.

    Returns:
        Component → difference, where it exceeds the mirror's rounding and the clock tolerance.
    """
    names = [*REPORTED_PARTS, *(mirror.parts_ns.keys() & spans.parts_ns.keys())]
    told = {name: (_part_ns(mirror, name), _part_ns(spans, name)) for name in dict.fromkeys(names)}
    rounding_ns = _resolution_ns(mirror) + _STAMPS_NS
    found = {
        name: theirs_ns - ours_ns
        for name, (ours_ns, theirs_ns) in told.items()
        if abs(theirs_ns - ours_ns) > rounding_ns + _STAMPED_APART * max(ours_ns, theirs_ns)
    }
    least_ns, share = _TOTAL_APART
    if mirror.total_ns - spans.total_ns > rounding_ns + max(least_ns, share * mirror.total_ns):
        found[SERVER_PROCESSING] = spans.total_ns - mirror.total_ns
    return found


def _part_ns(timing: Timing, name: str) -> int:
    return sum(timing.parts_ns.get(one, 0) for one in _made_of(name))


def _made_of(name: str) -> tuple[str, ...]:
    """A component and its parts: one source may report the parts, the other only the whole."""
    return (name, *INFERENCE_PARTS) if name == INFERENCE else (name,)


def _resolution_ns(mirror: Timing) -> int:
    """The value of one unit of the last digit in ns, as inferred from the numbers."""
    values_ns = [one for one in (mirror.total_ns, *mirror.parts_ns.values()) if one]
    digit_ns = 1
    while values_ns and not any(one % (digit_ns * 10) for one in values_ns):
        digit_ns *= 10
    return digit_ns


def differences_alike(mirror: Told, spans: Told) -> dict[str, Int64]:
    """The differences between both sources, as in `differences`, for many requests at once.

    Args:
        mirror: the times in the replies; each has a total.
        spans: the times from the spans, row by row.

    Returns:
        Component → ns for each request; `ABSENT` where both agree.
    """
    rounding_ns = _resolutions_ns(mirror) + _STAMPS_NS
    both = [name for name in mirror.parts_ns if name in spans.parts_ns]
    found = {}
    for name in dict.fromkeys((*REPORTED_PARTS, *both)):
        ours_ns, theirs_ns = mirror.part(name), spans.part(name)
        most_ns = np.maximum(np.maximum(ours_ns, theirs_ns), 0)
        apart_ns = np.maximum(theirs_ns, 0) - np.maximum(ours_ns, 0)
        differs = np.abs(apart_ns) > rounding_ns + _STAMPED_APART * most_ns
        if name not in REPORTED_PARTS:
            differs &= (ours_ns != ABSENT) & (theirs_ns != ABSENT)
        found[name] = np.where(differs, apart_ns, ABSENT)
    least_ns, share = _TOTAL_APART
    apart_ns = spans.total_ns - mirror.total_ns
    differs = -apart_ns > rounding_ns + np.maximum(least_ns, share * mirror.total_ns)
    return {**found, SERVER_PROCESSING: np.where(differs, apart_ns, ABSENT)}


def _resolutions_ns(mirror: Told) -> Int64:
    told = [np.maximum(one, 0) for one in (mirror.total_ns, *mirror.parts_ns.values())]
    digit_ns = np.ones(len(mirror.total_ns), np.int64)
    coarser = np.any(told, axis=0)
    while coarser.any():
        coarser &= ~np.any([one % (digit_ns * 10) for one in told], axis=0)
        digit_ns = np.where(coarser, digit_ns * 10, digit_ns)
    return digit_ns


def differing(chosen: Selection, times: ServerTimes) -> dict[str, Differing]:
    """Component → how often and how far the two sources differ, the largest difference first."""
    found = {}
    for name in times.differing:
        apart_ns = chosen.column(partial(_apart, name))
        apart_ns = np.abs(apart_ns[apart_ns != ABSENT])
        if len(apart_ns):
            found[name] = Differing(len(apart_ns), float(np.median(apart_ns)))
    return dict(sorted(found.items(), key=lambda one: -one[1].requests * one[1].median_ns))


def _apart(name: str, part: Subset) -> Int64:
    return part.told(DIFFERS + name)
