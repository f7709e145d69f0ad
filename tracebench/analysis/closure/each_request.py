"""What is told of every single request, page by page: its components, and those of its stream."""

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
from tracebench.model.columns import ABSENT, Int64, PageView, summed
from tracebench.model.components import END_TO_END
from tracebench.model.requests import Flags, Requests, Rows
from tracebench.model.server_times import PART, ServerTimes

_NOT_REPORTED: Final = -1


@dataclass(frozen=True, slots=True)
class RequestsPage:
    """The requests on one page, in the order in which they ended."""

    rows: Rows
    times: PageView
    decomposed: Flags
    components_ns: Mapping[str, Int64]
    """Name → ns per row, `ABSENT` where nothing is known of it. `end_to_end` is that of every
    request; the client's own components are those of successes, and the server's of decomposed
    requests. A part has the name of what it is a part of before its own."""


def each_request(requests: Requests, times: ServerTimes) -> Iterator[RequestsPage]:
    """Divide every request's time, page by page: a page takes some megabytes.

    Args:
        requests: in any order.
        times: what servers said of them, row by row.
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
    """Shown name → part, of the parts of inference; and → spellings, of the author's own."""
    known = times.parts
    within: dict[str, str] = {f"{INFERENCE}.{one}": one for one in INFERENCE_PARTS if one in known}
    own: dict[str, list[str]] = {}
    for name in sorted(set(known).difference(KNOWN_PARTS)):
        own.setdefault(f"{SERVER_OTHER}.{shown_as(name)}", []).append(name)
    return within, own


def _spread(formula: Formula, rows: Rows, said: PageView, which: Flags) -> Int64:
    """A column of the whole page from what holds of some rows."""
    values = np.full(rows.count, ABSENT)
    if which.any():
        found = formula(Subset(rows, said, which))
        values[which] = np.where(found == _NOT_REPORTED, ABSENT, found)
    return values


def _told(column: str, part: Subset) -> Int64:
    return part.told(column)


def _together(parts: tuple[str, ...], part: Subset) -> Int64:
    return summed([part.told(PART + one) for one in parts])
