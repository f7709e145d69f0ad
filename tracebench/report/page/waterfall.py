"""Components as a waterfall: each bar begins where the one above it ends."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from server_middleware.vocabulary import SERVER_PARTS, SERVER_PROCESSING
from tracebench.analysis.closure.own_components import share_of
from tracebench.model.components import (
    BACKLOG,
    BODY,
    CLIENT,
    CONNECT,
    END_TO_END,
    LATENCY,
    LEAVES,
    NETWORK,
    SERVER_AND_NETWORK,
)
from tracebench.model.results.result import Exemplar, TargetResult
from tracebench.model.results.statistics import Statistics
from tracebench.report.figures.figure_style import COMPONENTS

_QUIET: Final = (BACKLOG, CONNECT)
"""Components whose rows are omitted if zero."""
_OUTSIDE: Final = tuple(name for name in LEAVES if name not in SERVER_PARTS)


@dataclass(frozen=True, slots=True)
class Bar:
    """A section of the drawing; both values are in percent of its width."""

    begin: float
    width: float


@dataclass(frozen=True, slots=True)
class Row:
    """The row of one component of a target."""

    name: str
    kind: Literal["leaf", "part", "sum"]
    statistics: Statistics
    share: float | None
    """Fraction of the mean latency; None for a row that is not part of the sum."""
    bar: Bar | None
    look: str
    """The name of its colour."""


def look_of(component: str) -> str:
    """The name of a component's colour; all custom-named parts share one."""
    return component if component in COMPONENTS else "own"


def rows(target: TargetResult, scale_ms: float) -> Iterator[Row]:
    """Yield the components of a target in the order of a request's life; sums follow their parts.

    Args:
        target: the result of the target.
        scale_ms: latency that corresponds to the full width.
    """
    if not target.components:
        return
    width = 100 * target.components[END_TO_END].mean_ms / scale_ms if scale_ms else 0.0
    begin = server_begin = 0.0
    for name in (*_OUTSIDE, SERVER_AND_NETWORK, *SERVER_PARTS):
        if name == SERVER_PARTS[0]:
            server_begin = begin
        if name not in target.components:
            continue
        share = target.share.get(name, 0.0)
        if name not in _QUIET or target.components[name].max_ms > 0:
            yield _row(target, name, "leaf", share, Bar(width * begin, width * share))
            yield from _parts(target, name, begin, width)
        begin += share
    yield from _sums(target, server_begin, width)
    if target.latency is not None and target.latency.count != target.components[END_TO_END].count:
        yield Row(LATENCY, "sum", target.latency, None, None, "sum")


def _row(
    target: TargetResult, name: str, kind: Literal["leaf", "part"], share: float, bar: Bar
) -> Row:
    return Row(name, kind, target.components[name], share, bar, look_of(name))


def _parts(target: TargetResult, parent: str, begin: float, width: float) -> Iterator[Row]:
    for name in target.parts_of.get(parent, ()):
        if name in target.components:
            share = share_of(target.components, name)
            yield _row(target, name, "part", share, Bar(width * begin, width * share))
            begin += share


def _sums(target: TargetResult, server_begin: float, width: float) -> Iterator[Row]:
    for name, begin in ((SERVER_PROCESSING, server_begin), (END_TO_END, 0.0)):
        if name in target.components:
            share = share_of(target.components, name)
            bar = Bar(width * begin, width * share)
            yield Row(name, "sum", target.components[name], share, bar, "sum")


# Single requests.

NO_REPLY: Final = "no reply"
_STANDING: Final = (50.0, 99.0, 100.0)
"""Percentiles whose exemplar requests are drawn."""
_Stretches = list[tuple[str, list[tuple[float, float]]]]
"""Component → its periods (start, end), in ms since the request was due."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The time that a request spent in a component, in one period or in two."""

    name: str
    look: str
    ms: float
    bars: tuple[Bar, ...]
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """One request, drawn."""

    label: str
    exemplar: Exemplar
    pieces: tuple[Piece, ...]


def label_of(exemplar: Exemplar) -> str:
    """The heading of an exemplar: its percentile, or a text for the slowest request."""
    return "slowest" if exemplar.percentile == 100 else f"p{exemplar.percentile:g}"


def waterfalls(target: TargetResult) -> list[Waterfall]:
    """Waterfalls of the requests at the median and the 99th percentile, and of the slowest."""
    return [
        Waterfall(label_of(one), one, tuple(_pieces(one, target.parts_of)))
        for one in target.exemplars
        if one.percentile in _STANDING and one.stamps
    ]


def _pieces(one: Exemplar, parts_of: Mapping[str, Sequence[str]]) -> Iterator[Piece]:
    """Yield the known components of a request, in the order of its life."""
    ready = one.stamps.get("ready", 0.0)
    sent, done = one.stamps.get("sent", ready), one.end_to_end_ms
    arrived = one.stamps.get("arrived")
    connected = ready - one.components.get(CONNECT, 0.0)
    client = [(ready, sent)] if arrived is None else [(ready, sent), (arrived, done)]
    stretches = [(BACKLOG, [(0.0, connected)]), (CONNECT, [(connected, ready)]), (CLIENT, client)]
    stretches += _unanswered(sent, done) if arrived is None else _between(one, sent, arrived)
    for name, those in stretches:
        if (piece := _piece(name, those, done)) is not None:
            yield piece
            yield from _parts_of(those[0][0], one, parts_of.get(name, ()))


def _unanswered(sent: float, done: float) -> _Stretches:
    return [(NO_REPLY, [(sent, done)])]


def _between(one: Exemplar, sent: float, arrived: float) -> _Stretches:
    """Divide the time between sending the request and the arrival of its reply.

    How the network time splits around the server's is unknown: half is drawn on either side.
    """
    if NETWORK not in one.components:
        return [(SERVER_AND_NETWORK, [(sent, arrived)])]
    half, body = one.components[NETWORK] / 2, one.components.get(BODY, 0.0)
    begin, last = sent + half, arrived - body
    found: _Stretches = [(NETWORK, [(sent, begin), (last - half, last)])]
    for name in SERVER_PARTS:
        took = one.components.get(name, 0.0)
        found.append((name, [(begin, begin + took)]))
        begin += took
    return [*found, (BODY, [(last, arrived)])]


def _parts_of(begin: float, one: Exemplar, names: Sequence[str]) -> Iterator[Piece]:
    for name in names:
        took = one.components.get(name, 0.0)
        if (piece := _piece(name, [(begin, begin + took)], one.end_to_end_ms)) is not None:
            yield replace(piece, is_part=True)
            begin += took


def _piece(name: str, stretches: Sequence[tuple[float, float]], whole_ms: float) -> Piece | None:
    """A piece with its bars; None if they take no time."""
    lasting = [(begin, end - begin) for begin, end in stretches if end > begin]
    if not lasting or not whole_ms:
        return None
    bars = (Bar(100 * begin / whole_ms, 100 * took / whole_ms) for begin, took in lasting)
    return Piece(name, look_of(name), sum(took for _, took in lasting), tuple(bars))
