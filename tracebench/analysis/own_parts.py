"""Parts of a server's time by names of its author's own: what they are called, which are shown.

They are parts of `server_other`. Names come from outside (spans, reply headers), so they are made
fit for every output here, and kept apart from the names that tracebench gives itself.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final, NamedTuple

import numpy as np

from tracebench.model.exchange import Nanoseconds, Timing
from tracebench.model.result import Statistics
from tracebench.vocabulary import (
    COMPONENTS,
    END_TO_END,
    LONGEST_NAME,
    MOST_OWN_NAMES,
    SERVER_PARTS,
)

_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9_.-]")
_OF_THE_SERVER: Final = "server."
_MISFITS: Final = 0.01
"""A name that does not fit into more of its replies is not shown at all: what is left of it would
be the mean of those in which it happened to be small."""


class OwnParts(NamedTuple):
    """The own parts of a run's requests."""

    columns: Mapping[str, Nanoseconds]
    """Name → ns per request, −1 where it was not reported; the largest in sum comes first."""
    left_out: Mapping[str, int]
    """Name → requests in which its time did not fit."""
    unlisted: int
    """So many more names there were, at least."""


@lru_cache(maxsize=1024)
def cleaned(name: str) -> str:
    """A name in characters that every output takes; at most 64 of them."""
    return _UNUSUAL.sub("_", name[:LONGEST_NAME])


@lru_cache(maxsize=1024)
def shown_as(name: str) -> str:
    """What a part is called beside tracebench's own components: `server.network`, for one."""
    name = cleaned(name)
    return _OF_THE_SERVER + name if name in COMPONENTS else name


def own_parts(timings: Sequence[Timing], absent_ns: int) -> OwnParts:
    """Choose the own parts to show, and give their columns.

    Args:
        timings: of the decomposed requests.
        absent_ns: stands for what a request does not report.
    """
    reported = set(chain.from_iterable(one.parts_ns for one in timings))
    names = reported.difference(SERVER_PARTS)
    left_out = Counter(map(shown_as, chain.from_iterable(one.left_out for one in timings)))
    unlisted = max((one.unlisted for one in timings), default=0)
    if not names:
        return OwnParts({}, left_out, unlisted)
    spellings: dict[str, list[str]] = {}
    for name in sorted(names):
        spellings.setdefault(shown_as(name), []).append(name)
    counts, sums_ns = _tallied(timings, names)
    fitting = [
        name for name in spellings if left_out[name] <= _MISFITS * (left_out[name] + counts[name])
    ]
    fitting.sort(key=lambda name: -sums_ns[name])
    columns = {
        name: _column(timings, spellings[name], absent_ns) for name in fitting[:MOST_OWN_NAMES]
    }
    return OwnParts(columns, left_out, unlisted + max(len(fitting) - MOST_OWN_NAMES, 0))


def _tallied(timings: Iterable[Timing], names: set[str]) -> tuple[Counter[str], Counter[str]]:
    """How often each is reported, by the name that it is shown as, and its time in sum."""
    counts, sums_ns = Counter[str](), Counter[str]()
    for timing in timings:
        for name in timing.parts_ns.keys() & names:
            counts[shown_as(name)] += 1
            sums_ns[shown_as(name)] += timing.parts_ns[name]
    return counts, sums_ns


def _column(timings: Sequence[Timing], spellings: Sequence[str], absent_ns: int) -> Nanoseconds:
    """What several spellings of one name tell together."""

    def told(timing: Timing) -> int:
        times_ns = [timing.parts_ns[name] for name in spellings if name in timing.parts_ns]
        return sum(times_ns) if times_ns else absent_ns

    return np.fromiter(map(told, timings), np.int64, len(timings))


def share_of(components: Mapping[str, Statistics], name: str, whole: str = END_TO_END) -> float:
    """A component's fraction of another; where a request does not report it, it counts as 0."""
    if name not in components or whole not in components:
        return 0.0
    part, all_of_it = components[name], components[whole]
    whole_ms = all_of_it.mean_ms * all_of_it.count
    return part.mean_ms * part.count / whole_ms if whole_ms else 0.0
