"""Traces of one form, divided among components together: as `attribution.attribute` does each.

A form is which span hangs below which, and what component each is. Its traces differ in times and
ids alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from server_middleware.vocabulary import SERVER_OTHER
from tracebench.model.columns import ABSENT, Int64
from tracebench.model.span_columns import Words

_AT_ONCE: Final = 1 << 20
"""Moments that are looked at together: some 50 MB."""


@dataclass(frozen=True, slots=True)
class TraceShape:
    """The tree below an entry span; places are those of spans in a trace."""

    entry: int
    places: tuple[int, ...]
    """Of the entry span, and of all that hangs below it."""
    depths: tuple[int, ...]
    components: tuple[str, ...]
    """Whom the own time of each belongs to."""


def shape_of(entry: int, parents: Sequence[int], components: Sequence[str | None]) -> TraceShape:
    """The tree below an entry span.

    Args:
        entry: its place.
        parents: the place of each span's parent; negative where it is not in the trace.
        components: of each span; None: that of the span above it.
    """
    children: dict[int, list[int]] = {}
    for place, parent in enumerate(parents):
        if place != entry:
            children.setdefault(parent, []).append(place)
    found = [(entry, 0, components[entry] or SERVER_OTHER)]
    for place, depth, component in found:
        below = children.pop(place, ())
        found += [(one, depth + 1, components[one] or component) for one in below]
    places, depths, named = zip(*found, strict=True)
    return TraceShape(entry, places, depths, named)


def attribute_in_bulk(form: TraceShape, start: Int64, end: Int64, ids: Words) -> dict[str, Int64]:
    """Divide the entry spans of traces of one form among the components.

    Args:
        form: of all.
        start: when each span began, in ns: a row a trace, a column a place.
        end: when each ended; none before it began.
        ids: of each span.

    Returns:
        Component → ns, one a trace, `ABSENT` where no span of the component touches the entry
        span; without `server_other`, which is the rest.
    """
    rows = max(_AT_ONCE // (2 * len(form.places)), 1)
    pieces = [
        _attribute(form, start[at : at + rows], end[at : at + rows], ids[at : at + rows])
        for at in range(0, max(len(start), 1), rows)
    ]
    return {name: np.concatenate([one[name] for one in pieces]) for name in pieces[0]}


def _attribute(form: TraceShape, start: Int64, end: Int64, ids: Words) -> dict[str, Int64]:
    places = list(form.places)
    began, until = start[:, [form.entry]], end[:, [form.entry]]
    first, last = np.maximum(start[:, places], began), np.minimum(end[:, places], until)
    touches = first <= last
    ranks = _ranks(form, start[:, places], ids[:, places])
    inside = (np.where(touches, one, began) for one in (first, last))
    edges = np.sort(np.concatenate(list(inside), axis=1), axis=1)
    lengths = np.diff(edges, axis=1)
    owner = _owners(edges[:, :-1], first, last, touches, ranks)
    found = {}
    for name in dict.fromkeys(form.components):
        if name == SERVER_OTHER:
            continue
        own = np.array([one == name for one in form.components])
        spent = np.where(own[owner], lengths, 0).sum(axis=1)
        found[name] = np.where(touches[:, own].any(axis=1), spent, ABSENT)
    return found


def _ranks(form: TraceShape, start: Int64, ids: Words) -> Int64:
    """The least wins: the deepest, then the latest started, then the one of the least id."""
    depths = np.broadcast_to(-np.array(form.depths), start.shape)
    order = np.lexsort((ids, -start, depths), axis=1)
    ranks = np.empty(start.shape, np.int64)
    np.put_along_axis(ranks, order, np.arange(start.shape[1])[None, :], axis=1)
    return ranks


def _owners(
    moments: Int64, first: Int64, last: Int64, touches: npt.NDArray[np.bool_], ranks: Int64
) -> Int64:
    """For each moment, which column of those that cover it has the least rank."""
    best, owner = np.full(moments.shape, ranks.shape[1]), np.zeros(moments.shape, np.int64)
    for place in range(ranks.shape[1]):
        rank = ranks[:, [place]]
        covers = (first[:, [place]] <= moments) & (moments < last[:, [place]])
        covers &= touches[:, [place]] & (rank < best)
        np.copyto(best, rank, where=covers)
        np.copyto(owner, place, where=covers)
    return owner
