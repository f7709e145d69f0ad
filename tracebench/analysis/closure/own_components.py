"""A server author's own components: how they are named, and which are shown.

They are parts of `server_other`; `prefill` and `decode`, which are parts of `inference`, do not
count as own names. Names come from outside (spans, reply headers), so they are made safe for every
output here, and kept distinct from tracebench's own names.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import product
from typing import Final, NamedTuple

import numpy as np

from server_middleware.vocabulary import KNOWN_PARTS, LONGEST_NAME, MOST_OWN_NAMES
from tracebench.analysis.closure.selection import Formula, Selection, Subset
from tracebench.model.components import COMPONENTS, END_TO_END
from tracebench.model.record.columns import ABSENT, summed
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.record.requests import Flags
from tracebench.model.record.server_times import LEFT_OUT, PART, UNLISTED, ServerTimes
from tracebench.model.results.statistics import Statistics

_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9_.-]")
_OF_THE_SERVER: Final = "server."
_MISFITS: Final = 0.01
"""Share of its replies in which a component may exceed the server's time. Beyond it, the component
is not shown: the remaining values would be biased towards small ones."""


class OwnComponents(NamedTuple):
    """The own components of a run's requests."""

    formulas: Mapping[str, Formula]
    """Name → ns for each request, `absent_ns` where not reported; by descending total."""
    left_out: Mapping[str, int]
    """Name → how many requests had a time that did not fit into the server's."""
    unlisted: int
    """How many more names there were, at least."""


@lru_cache(maxsize=1024)
def cleaned(name: str) -> str:
    """A name reduced to at most 64 characters that every output accepts."""
    return _UNUSUAL.sub("_", name[:LONGEST_NAME])


@lru_cache(maxsize=1024)
def shown_as(name: str) -> str:
    """A cleaned name, prefixed if it is one of tracebench's own, as in `server.network`."""
    name = cleaned(name)
    return _OF_THE_SERVER + name if name in COMPONENTS else name


def own_components(chosen: Selection, times: ServerTimes, absent_ns: int) -> OwnComponents:
    """Choose the own components to show, and provide their columns.

    Args:
        chosen: the decomposed requests.
        times: the server times of all requests.
        absent_ns: the value for a component that a request does not report.
    """
    spellings: dict[str, list[str]] = {}
    for name in sorted(set(times.parts).difference(KNOWN_PARTS)):
        spellings.setdefault(shown_as(name), []).append(name)
    left_out = Counter[str]()
    for name in times.left_out:
        left_out[shown_as(name)] += chosen.count(partial(_tells, LEFT_OUT + name))
    tallies = {name: _tallied(chosen, those) for name, those in spellings.items()}
    fitting = [
        name
        for name, (count, _) in tallies.items()
        if count and left_out[name] <= _MISFITS * (left_out[name] + count)
    ]
    fitting.sort(key=lambda name: -tallies[name][1])
    formulas = {
        name: partial(_together, spellings[name], absent_ns) for name in fitting[:MOST_OWN_NAMES]
    }
    unlisted = times.unlisted + chosen.greatest(lambda part: part.told(UNLISTED))
    return OwnComponents(formulas, +left_out, unlisted + max(len(fitting) - MOST_OWN_NAMES, 0))


def _tells(column: str, part: Subset) -> Flags:
    return np.asarray(part.told(column) != ABSENT)


def _tallied(chosen: Selection, names: Sequence[str]) -> tuple[int, int]:
    """How many requests report a component under any of its names, and its total time in ns."""
    count = total_ns = 0
    for part, name in product(chosen.parts, names):
        told = part.told(PART + name)
        known = told[told != ABSENT]
        count, total_ns = count + len(known), total_ns + int(known.sum())
    return count, total_ns


def _together(names: Sequence[str], absent_ns: int, part: Subset) -> Nanoseconds:
    """The sum of a component's times over all spellings of its name, in ns."""
    return summed([part.told(PART + name) for name in names], absent_ns)


def share_of(components: Mapping[str, Statistics], name: str, whole: str = END_TO_END) -> float:
    """A component's fraction of another; requests that do not report it count as 0."""
    if name not in components or whole not in components:
        return 0.0
    part, all_of_it = components[name], components[whole]
    whole_ms = all_of_it.mean_ms * all_of_it.count
    return part.mean_ms * part.count / whole_ms if whole_ms else 0.0
