"""Where two sources tell of one request: whether they agree."""

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
from tracebench.model.columns import ABSENT, Int64, summed
from tracebench.model.exchange import Differing, Timing
from tracebench.model.requests import Flags
from tracebench.model.server_times import DIFFERS, ServerTimes

_STAMPS_NS: Final = 1_000
"""What trace backends keep of a time: microseconds."""
_STAMPED_APART: Final = 0.02
"""Of a part: two clocks read one after the other around the same work."""
_TOTAL_APART: Final = (1_000_000, 0.10)
"""ns, and part of it, by which a span may be shorter than a mirror's total: instrumentations begin
and end one inside the other, and a reply's timing is made in between."""


class Told(NamedTuple):
    """What one source tells of many requests; `ABSENT` where it does not tell of a part."""

    total_ns: Int64
    parts_ns: Mapping[str, Int64]

    def take(self, some: Flags) -> "Told":
        """What is told of some of them."""
        return Told(self.total_ns[some], {name: ns[some] for name, ns in self.parts_ns.items()})

    def part(self, name: str) -> Int64:
        """One part, with those that it is made of."""
        absent = np.broadcast_to(np.int64(ABSENT), len(self.total_ns))
        told = [self.parts_ns[one] for one in _made_of(name) if one in self.parts_ns]
        return summed(told) if len(told) > 1 else told[0] if told else absent


EXACT_NS: Final = 2**52
"""Times below it are exact as floating-point numbers, so that both ways below say the same."""


def differences(mirror: Timing, spans: Timing) -> dict[str, int]:
    """What the spans of a request tell more of each component than its reply does, in ns.

    A mirror's total is made before the span ends, so only one that exceeds the span's counts. A
    name of somebody's own counts where both have it: it may be a proxy's.

    Returns:
        Those by more than what the mirror was rounded to, and clocks are apart.
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
    """A part and its own parts: one source may tell of these, the other of the whole."""
    return (name, *INFERENCE_PARTS) if name == INFERENCE else (name,)


def _resolution_ns(mirror: Timing) -> int:
    """What one unit of the last digit is worth, as far as the numbers show it."""
    values_ns = [one for one in (mirror.total_ns, *mirror.parts_ns.values()) if one]
    digit_ns = 1
    while values_ns and not any(one % (digit_ns * 10) for one in values_ns):
        digit_ns *= 10
    return digit_ns


def differences_alike(mirror: Told, spans: Told) -> dict[str, Int64]:
    """The same of many requests at once.

    Args:
        mirror: what the replies tell; a total for each.
        spans: what their spans tell.

    Returns:
        Component → ns, one a request; `ABSENT` where both agree.
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
    """Component → how often and how far two sources of a request are apart, the farthest first."""
    found = {}
    for name in times.differing:
        apart_ns = chosen.column(partial(_apart, name))
        apart_ns = np.abs(apart_ns[apart_ns != ABSENT])
        if len(apart_ns):
            found[name] = Differing(len(apart_ns), float(np.median(apart_ns)))
    return dict(sorted(found.items(), key=lambda one: -one[1].requests * one[1].median_ns))


def _apart(name: str, part: Subset) -> Int64:
    return part.told(DIFFERS + name)
