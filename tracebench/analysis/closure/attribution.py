"""From server spans or mirrored times to exclusive times that never exceed their total.

Every instant of the entry span belongs to exactly one component, so the times of the components
add up to it. Times are integers in nanoseconds: the sums are exact.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import accumulate, islice, pairwise
from typing import Final, NamedTuple

from server_middleware.vocabulary import KNOWN_PARTS, MOST_OWN_NAMES, SERVER_OTHER
from tracebench.model.record.exchange import CameWith, ServerSpan, Timing, Undecomposed

_LONGEST_NS: Final = 2**62
"""146 years; anything longer is not a plausible duration, and would not fit into a column."""


class _Cover(NamedTuple):
    """The part of a span that lies inside the entry span."""

    start_ns: int
    end_ns: int
    rank: tuple[int, int, str]
    """The lowest wins: the deepest, then the latest started; ids break ties regardless of order."""
    component: str


def attribute(entry: ServerSpan, spans: Sequence[ServerSpan]) -> Timing | Undecomposed:
    """Divide an entry span among the components of the spans below it.

    An instant belongs to the deepest span that covers it, or the latest started of equally deep
    ones. A span is placed below its parent or, if that is not among `spans`, below the first span
    it is linked to; spans that are not below the entry span are ignored. A span without a
    component counts towards the component of the nearest span above it that has one.

    Args:
        entry: the span whose parent is the client's root span.
        spans: the server's spans of the same trace, and batch spans linked to it, in any order and
            on one clock; the entry span may be among them.

    Returns:
        The time of each component that a span names, without `server_other`, which is the rest;
        MALFORMED if the entry span ends before it starts.
    """
    if entry.end_ns < entry.start_ns:
        return Undecomposed.MALFORMED
    covers = sorted(_covers(entry, spans))
    spent_ns = dict.fromkeys((cover.component for cover in covers), 0)
    for component, duration_ns in _stretches(covers):
        spent_ns[component] += duration_ns
    spent_ns.pop(SERVER_OTHER, None)
    return Timing(entry.end_ns - entry.start_ns, spent_ns, "otlp")


def _covers(entry: ServerSpan, spans: Sequence[ServerSpan]) -> Iterator[_Cover]:
    """Walk the tree below the entry span, and clip each span to it."""
    children = _children(entry, spans)
    to_visit = deque([(entry, 0, entry.component or SERVER_OTHER)])
    while to_visit:
        span, depth, component = to_visit.popleft()
        start_ns = max(span.start_ns, entry.start_ns)
        end_ns = min(span.end_ns, entry.end_ns)
        if start_ns <= end_ns:
            rank = (-depth, -span.start_ns, span.span_id)
            yield _Cover(start_ns, end_ns, rank, component)
        for child in children.pop(span.span_id, ()):
            to_visit.append((child, depth + 1, child.component or component))


def _children(entry: ServerSpan, spans: Iterable[ServerSpan]) -> dict[str, list[ServerSpan]]:
    below = {span.span_id: span for span in spans if span.span_id != entry.span_id}
    children: defaultdict[str, list[ServerSpan]] = defaultdict(list)
    for span in below.values():
        for above in (span.parent_id, *span.links):
            if above == entry.span_id or above in below:
                children[above].append(span)
                break
    return children


def _stretches(covers: Sequence[_Cover]) -> Iterator[tuple[str, int]]:
    """Sweep over the covers, sorted by start; yields each stretch's component and length in ns."""
    edges_ns = sorted({edge for cover in covers for edge in (cover.start_ns, cover.end_ns)})
    open_covers: list[tuple[tuple[int, int, str], _Cover]] = []
    upcoming = deque(covers)
    for start_ns, end_ns in pairwise(edges_ns):
        while upcoming and upcoming[0].start_ns == start_ns:
            cover = upcoming.popleft()
            heappush(open_covers, (cover.rank, cover))
        while open_covers[0][1].end_ns <= start_ns:
            heappop(open_covers)
        yield open_covers[0][1].component, end_ns - start_ns


def mirror_timing(
    total_ns: float | None,
    parts_ns: Mapping[str, float],
    resolution_ns: float,
    came_with: CameWith = "end",
) -> Timing | Undecomposed:
    """Validate the exclusive times that a server copied into its reply.

    Each number may be off by half a unit of its last digit (at least 1 ns). If the parts exceed
    their total by no more than the sum of these errors, they are scaled down to it.

    Args:
        total_ns: the entry span's duration; None if it was not reported.
        parts_ns: component → time. A `server_other` among them must fit into the total, but is then
            computed as the rest. Non-standard names are parts of that rest; those that do not
            fit into it are left out in order, since they may not be exclusive server times.
        resolution_ns: the value of one unit of the last digit.
        came_with: where in the reply the times stood.

    Returns:
        The timing; or MALFORMED if a standard part is not a duration (negative, NaN, infinite,
        beyond 146 years), NO_TOTAL if there is no total, EXCESS if the standard parts exceed
        their total by more than rounding.
    """
    known = {part: parts_ns[part] for part in KNOWN_PARTS if part in parts_ns}
    if not all(map(_is_duration, known.values())):
        return Undecomposed.MALFORMED
    if total_ns is None:
        return Undecomposed.NO_TOTAL
    if not _is_duration(total_ns):
        return Undecomposed.MALFORMED
    exact_ns = {part: round(value) for part, value in known.items()}
    total = round(total_ns)
    excess_ns = sum(exact_ns.values()) - total
    last_digit_ns = round(min(max(resolution_ns, 1), _LONGEST_NS))
    if 2 * excess_ns > (len(exact_ns) + 1) * last_digit_ns:
        return Undecomposed.EXCESS
    if scaled := excess_ns > 0:
        exact_ns = _scaled(exact_ns, total)
    exact_ns.pop(SERVER_OTHER, None)
    timing = Timing(total, exact_ns, "mirror", scaled, came_with=came_with)
    if len(parts_ns) == len(known):
        return timing
    own_ns = {
        name: round(value)
        for name, value in parts_ns.items()
        if name not in KNOWN_PARTS and _is_duration(value)
    }
    return with_own(timing, own_ns, (len(exact_ns) + len(own_ns) + 1) * last_digit_ns // 2)


def with_own(timing: Timing, own_ns: Mapping[str, int], rounding_ns: int = 0) -> Timing:
    """Add an author's own components, reported as bare times, in order while the rest has room.

    Args:
        timing: the timing of the same request.
        own_ns: name → ns; names beyond the 32nd are only counted.
        rounding_ns: a time that exceeds the rest by no more is cut to fit; otherwise it is left
            out.
    """
    if not own_ns:
        return timing
    parts_ns, left_out, cut = dict(timing.parts_ns), list[str](), timing.scaled
    rest_ns = timing.total_ns - sum(parts_ns.values())
    for name, told_ns in islice(own_ns.items(), MOST_OWN_NAMES):
        if told_ns > rest_ns + rounding_ns:
            left_out.append(name)
            continue
        fitting_ns = min(told_ns, rest_ns)
        cut |= fitting_ns < told_ns
        parts_ns[name] = parts_ns.get(name, 0) + fitting_ns
        rest_ns -= fitting_ns
    unlisted = timing.unlisted + max(len(own_ns) - MOST_OWN_NAMES, 0)
    return timing._replace(
        parts_ns=parts_ns, scaled=cut, left_out=tuple(left_out), unlisted=unlisted
    )


def _is_duration(value_ns: float) -> bool:
    return 0 <= value_ns <= _LONGEST_NS  # not for NaN, nor for infinities


def _scaled(parts_ns: Mapping[str, int], total_ns: int) -> dict[str, int]:
    """Scale parts down in proportion so that they sum to the total exactly.

    They are differences of rounded-down running sums, so none is negative and none grows.
    """
    running_ns = list(accumulate(parts_ns.values(), initial=0))
    shrunk_ns = [at_ns * total_ns // running_ns[-1] for at_ns in running_ns]
    return {part: b - a for part, (a, b) in zip(parts_ns, pairwise(shrunk_ns), strict=True)}
