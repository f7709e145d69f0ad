"""Attribution for many traces of one shape at once; same results as `attribution.attribute`.

A shape says which span is below which, and the component of each. Traces of one shape differ only
in times and ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from server_middleware.vocabulary import SERVER_OTHER
from tracebench.model.record.columns import ABSENT, Int64
from tracebench.model.record.span_columns import Words

_AT_ONCE: Final = 1 << 20
"""Moments processed at a time, which takes some 50 MB."""


@dataclass(frozen=True, slots=True)
class TraceShape:
    """The tree below an entry span; a place is the index of a span in its trace."""

    entry: int
    places: tuple[int, ...]
    """The places of the entry span and of all spans below it."""
    depths: tuple[int, ...]
    components: tuple[str, ...]
    """The component that each span's exclusive time counts towards."""


def shape_of(entry: int, parents: Sequence[int], components: Sequence[str | None]) -> TraceShape:
    """Find the tree below an entry span.

    Args:
        entry: the place of the entry span.
        parents: the place of each span's parent; negative if it is not in the trace.
        components: the component of each span; None: inherited from the span above.
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
    """Divide the entry spans of traces of one shape among the components.

    Args:
        form: the shape of all these traces.
        start: start of each span in ns; shape (traces, places).
        end: end of each span in ns, never before its start; same shape.
        ids: the span ids; same shape.

    Returns:
        Component → ns for each trace, `ABSENT` where no span of the component touches the entry
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
    """Ranks of spans; the lowest wins: the deepest, then the latest started, then the least id."""
    depths = np.broadcast_to(-np.array(form.depths), start.shape)
    order = np.lexsort((ids, -start, depths), axis=1)
    ranks = np.empty(start.shape, np.int64)
    np.put_along_axis(ranks, order, np.arange(start.shape[1])[None, :], axis=1)
    return ranks


def _owners(
    moments: Int64, first: Int64, last: Int64, touches: npt.NDArray[np.bool_], ranks: Int64
) -> Int64:
    """For each moment, the column with the lowest rank among those that cover it."""
    best, owner = np.full(moments.shape, ranks.shape[1]), np.zeros(moments.shape, np.int64)
    for place in range(ranks.shape[1]):
        rank = ranks[:, [place]]
        covers = (first[:, [place]] <= moments) & (moments < last[:, [place]])
        covers &= touches[:, [place]] & (rank < best)
        np.copyto(best, rank, where=covers)
        np.copyto(owner, place, where=covers)
    return owner
