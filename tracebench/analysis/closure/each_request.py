"""The components of every single request and of its stream, page by page."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from server_middleware.vocabulary import INFERENCE, INFERENCE_PARTS, KNOWN_PARTS, SERVER_OTHER
from tracebench.analysis.closure.decomposition import CLIENT_SIDE, fitting, server_side
from tracebench.analysis.closure.own_components import shown_as
from tracebench.analysis.closure.selection import Formula, Subset
from tracebench.model.components import END_TO_END
from tracebench.model.record.columns import ABSENT, Int64, PageView, summed
from tracebench.model.record.requests import Flags, Requests, Rows
from tracebench.model.record.server_times import PART, ServerTimes

_NOT_REPORTED: Final = -1


@dataclass(frozen=True, slots=True)
class RequestsPage:
    """The requests of one page, in the order in which they ended."""

    rows: Rows
    times: PageView
    decomposed: Flags
    components_ns: Mapping[str, Int64]
    """Name → ns, one value a row, `ABSENT` where unknown. Every request has `end_to_end`, successes
    have the client's components, and decomposed requests the server's. The name of a part starts
    with the component it belongs to."""


def each_request(requests: Requests, times: ServerTimes) -> Iterator[RequestsPage]:
    """Divide every request's time into components; yields pages of some megabytes each.

    Args:
        requests: in any order.
        times: their server times, row by row.
    """
    within, own = _parts(times)
    of_server = dict(server_side([*within.values()]))
    of_server |= {name: partial(_told, PART + part) for name, part in within.items()}
    of_server |= {name: partial(_together, tuple(those)) for name, those in own.items()}
    for part in within.values():
        of_server.pop(part, None)
    for rows, said in zip(requests.pages(), times.pages(), strict=True):
        decomposed = fitting(Counter(), rows, said)
        succeeded = rows.succeeded
        components = {
            name: _spread(formula, rows, said, rows.all if name == END_TO_END else succeeded)
            for name, formula in CLIENT_SIDE.items()
        }
        components |= {
            name: _spread(formula, rows, said, decomposed) for name, formula in of_server.items()
        }
        yield RequestsPage(rows, said, decomposed, components)


def _parts(times: ServerTimes) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Displayed name → part of `inference`; and displayed name → spellings of own components."""
    known = times.parts
    within: dict[str, str] = {f"{INFERENCE}.{one}": one for one in INFERENCE_PARTS if one in known}
    own: dict[str, list[str]] = {}
    for name in sorted(set(known).difference(KNOWN_PARTS)):
        own.setdefault(f"{SERVER_OTHER}.{shown_as(name)}", []).append(name)
    return within, own


def _spread(formula: Formula, rows: Rows, said: PageView, which: Flags) -> Int64:
    """Evaluate a formula for some rows; the other rows of the page's column are `ABSENT`."""
    values = np.full(rows.count, ABSENT)
    if which.any():
        found = formula(Subset(rows, said, which))
        values[which] = np.where(found == _NOT_REPORTED, ABSENT, found)
    return values


def _told(column: str, part: Subset) -> Int64:
    return part.told(column)


def _together(parts: tuple[str, ...], part: Subset) -> Int64:
    return summed([part.told(PART + one) for one in parts])
