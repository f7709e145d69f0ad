"""Parts of a server's time by names of its author's own: what they are called, which are shown.

They are parts of `server_other`; `prefill` and `decode`, which are those of `inference`, are no
such names. Names come from outside (spans, reply headers), so they are made
fit for every output here, and kept apart from the names that tracebench gives itself.
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
from tracebench.model.columns import ABSENT, summed
from tracebench.model.components import COMPONENTS, END_TO_END
from tracebench.model.exchange import Nanoseconds
from tracebench.model.requests import Flags
from tracebench.model.server_times import LEFT_OUT, PART, UNLISTED, ServerTimes
from tracebench.model.statistics import Statistics

_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9_.-]")
_OF_THE_SERVER: Final = "server."
_MISFITS: Final = 0.01
"""A name that does not fit into more of its replies is not shown at all: what is left of it would
be the mean of those in which it happened to be small."""


class OwnComponents(NamedTuple):
    """The own parts of a run's requests."""

    formulas: Mapping[str, Formula]
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


def own_components(chosen: Selection, times: ServerTimes, absent_ns: int) -> OwnComponents:
    """Choose the own parts to show, and give their columns.

    Args:
        chosen: the decomposed requests.
        times: what the servers said of all.
        absent_ns: stands for what a request does not report.
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
    """How often a part is reported under any of its names, and its time in sum."""
    count = total_ns = 0
    for part, name in product(chosen.parts, names):
        told = part.told(PART + name)
        known = told[told != ABSENT]
        count, total_ns = count + len(known), total_ns + int(known.sum())
    return count, total_ns


def _together(names: Sequence[str], absent_ns: int, part: Subset) -> Nanoseconds:
    """What several spellings of one name tell together."""
    return summed([part.told(PART + name) for name in names], absent_ns)


def share_of(components: Mapping[str, Statistics], name: str, whole: str = END_TO_END) -> float:
    """A component's fraction of another; where a request does not report it, it counts as 0."""
    if name not in components or whole not in components:
        return 0.0
    part, all_of_it = components[name], components[whole]
    whole_ms = all_of_it.mean_ms * all_of_it.count
    return part.mean_ms * part.count / whole_ms if whole_ms else 0.0
