"""Each request's latency divided into components that add up to it exactly."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from server_middleware.vocabulary import (
    INFERENCE,
    INFERENCE_PARTS,
    REPORTED_PARTS,
    SERVER_OTHER,
    SERVER_PROCESSING,
)
from tracebench.analysis.closure.clock_offset import clock_offset
from tracebench.analysis.closure.first_token import stream_times
from tracebench.analysis.closure.own_components import own_components
from tracebench.analysis.closure.selection import Formula, SelectedColumns, Selection, Subset
from tracebench.analysis.closure.source_agreement import differing
from tracebench.model.components import (
    BACKLOG,
    BODY,
    CLIENT,
    CONNECT,
    END_TO_END,
    NETWORK,
    SERVER_AND_NETWORK,
    SERVICE_TIME,
)
from tracebench.model.record import requests as stamps
from tracebench.model.record import server_times as told
from tracebench.model.record.columns import ABSENT, PageView, summed
from tracebench.model.record.exchange import Decomposition, Nanoseconds, Outcome, Undecomposed
from tracebench.model.record.requests import OUTCOME, OUTCOME_CODES, Flags, Requests, Rows
from tracebench.model.record.server_times import CAME_WITH, PROBLEMS, SOURCES, ServerTimes

# The time between the start of a reply and its end, and what it may be attributed to.
#
# A timing that came with the head of a reply was written before the rest was made, so it does not
# cover what followed. That time is `body`, which cannot be attributed to network or server.

_LEAST_NS: Final = 1_000_000
_LEAST_PART: Final = 20
"""Divisor of the latency: a body shorter than that part of it is left in `network`."""


class ReplyTimes(NamedTuple):
    """Start and end of each reply, in ns since `sent`, and the server's reported time."""

    began_ns: Nanoseconds
    ended_ns: Nanoseconds
    server_ns: Nanoseconds


def body_ns(replies: ReplyTimes, end_to_end_ns: Nanoseconds) -> Nanoseconds:
    """The time of each reply's rest, in ns, if the server's timing came with its head; else 0.

    The head cannot have left before the time it reports had passed: if an interim reply (1xx)
    arrived first, or rounding adds a little, the body begins that much later.
    """
    after_head_ns = replies.ended_ns - np.maximum(replies.began_ns, replies.server_ns)
    counts = (after_head_ns > _LEAST_NS) & (after_head_ns * _LEAST_PART > end_to_end_ns)
    return np.where(counts, after_head_ns, 0)


def network_before_reply_ns(replies: ReplyTimes, network_ns: Nanoseconds) -> Nanoseconds:
    """The least network time that passed before the first byte of each reply, in ns.

    Only that time can be waiting for the server's span to begin. A span that fits before the first
    byte may have ended by then; for a longer one, which continues after it, all network time counts
    as before.
    """
    may_have_ended = replies.server_ns <= replies.began_ns
    before_ns = np.where(may_have_ended, replies.began_ns - replies.server_ns, replies.began_ns)
    return np.minimum(before_ns, network_ns)


# Each request's latency divided into components that add up to it exactly.
#
# - end_to_end = backlog + connect + client + network + body + server_processing
# - server_processing = queue + preprocessing + inference + postprocessing + server_other
#
# `prefill` and `decode` are parts of `inference`, and a server author's own components are parts
# of `server_other`; neither appears in these sums.

_NOT_REPORTED: Final = -1
"""Marks a component that the server did not report."""
_TIMED_OUT: Final = OUTCOME_CODES[Outcome.TIMED_OUT]


def decompose(requests: Requests, times: ServerTimes) -> Decomposition:
    """Divide the latency of every success with a known server time into components.

    Args:
        requests: in any order.
        times: the server times, row by row; ignored for requests that did not succeed.

    Returns:
        Columns in ns, in the order of scheduling, for the leaf components, `server_processing`,
        `end_to_end`, `service_time` and their parts, and the reasons why other successes have
        no row. `server_other` is always the rest; other server components are −1 where not
        reported.
    """
    undecomposed: Counter[Undecomposed] = Counter()
    chosen = Selection(requests, partial(fitting, undecomposed), times)
    own = own_components(chosen, times, _NOT_REPORTED)
    within = _of_inference(chosen, times)
    return Decomposition(
        count=len(chosen),
        columns=SelectedColumns(chosen, {**CLIENT_SIDE, **server_side(within), **own.formulas}),
        undecomposed=undecomposed,
        sources=_sources(chosen),
        scaled=chosen.count(lambda part: part.told(told.SCALED) == 1),
        clock=clock_offset(chosen),
        own=tuple(own.formulas),
        of_inference=within,
        left_out=own.left_out,
        unlisted=own.unlisted,
        scheduled=lambda: chosen.column(due),
        before_reply=lambda: chosen.column(_before_reply),
        strays=chosen.count(lambda part: part.told(told.STRAYS) > 0),
        with_both=chosen.count(lambda part: part.told(told.COMPARED) != ABSENT),
        disagreed=chosen.count(lambda part: part.told(told.COMPARED) > 0),
        differing=differing(chosen, times),
        bodies=chosen.count(lambda part: _body(part) > 0),
        streamed=chosen.count(lambda part: (_body(part) > 0) & _streams(part)),
        draws=lambda: chosen.column(lambda part: part.request(stamps.DRAW)),
        streams=lambda: stream_times(chosen, times),
        of_rows=lambda places: decompose(requests.take(places), times.take(places)),
    )


def client_view(requests: Requests) -> SelectedColumns:
    """Divide the latency of every success as far as the client alone can.

    Returns:
        Columns in ns of `end_to_end`, `service_time`, `backlog`, `connect`, `client` and
        `server_and_network`, in the order of scheduling; the last four sum to the first.
    """
    return SelectedColumns(successes(requests), {**CLIENT_SIDE, SERVER_AND_NETWORK: _between})


def successes(requests: Requests) -> Selection:
    """Select every success."""
    return Selection(requests, lambda rows, _: rows.succeeded)


def ranked(requests: Requests) -> Selection:
    """Select the requests that latency statistics cover: every success and every time-out."""
    return Selection(requests, lambda rows, _: rows.succeeded | (rows[OUTCOME] == _TIMED_OUT))


def due(part: Subset) -> Nanoseconds:
    """When each request was scheduled, in ns."""
    return part.request(stamps.SCHEDULED)


def latency(part: Subset) -> Nanoseconds:
    """Time from `scheduled` to `done`, in ns."""
    return np.asarray(sum((part.step(name) for name in stamps.STAMPS[1:]), part.step(stamps.READY)))


def reported(column_ns: Nanoseconds) -> Nanoseconds:
    """A column without the requests that lack the component; not a copy if all have it."""
    known = column_ns != _NOT_REPORTED
    return column_ns if known.all() else column_ns[known]


def fitting(undecomposed: Counter[Undecomposed], rows: Rows, times: PageView | None) -> Flags:
    """Flag the successes of a page whose server timing fits; count the others by reason."""
    assert times is not None
    succeeded, problem = rows.succeeded, times[told.PROBLEM]
    for at in np.unique(problem[succeeded & (problem != ABSENT)]).tolist():
        undecomposed[PROBLEMS[at]] += int(np.count_nonzero(succeeded & (problem == at)))
    timed = succeeded & (problem == ABSENT)
    waited = rows.step(stamps.FIRST_BYTE) + rows.step(stamps.ARRIVED)
    negative = timed & (times[told.TOTAL] > waited)
    if count := int(np.count_nonzero(negative)):
        undecomposed[Undecomposed.NEGATIVE_NETWORK] += count
    return np.asarray(timed & ~negative)


def _sources(chosen: Selection) -> dict[str, int]:
    counts = np.zeros(len(SOURCES), np.int64)
    for part in chosen.parts:
        counts += np.bincount(part.told(told.SOURCE), minlength=len(counts))
    return {name: int(counts[at]) for at, name in enumerate(SOURCES) if counts[at]}


# ── one formula a column ─────────────────────────────────────────────────────────────────────


def service_time(part: Subset) -> Nanoseconds:
    """Time from `sent` to `done`, in ns."""
    return part.step(stamps.FIRST_BYTE) + part.step(stamps.ARRIVED) + part.step(stamps.DONE)


def _backlog(part: Subset) -> Nanoseconds:
    return part.step(stamps.READY) - part.request(stamps.CONNECT)


def _client(part: Subset) -> Nanoseconds:
    return part.step(stamps.SENT) + part.step(stamps.DONE)


def _between(part: Subset) -> Nanoseconds:
    return part.step(stamps.FIRST_BYTE) + part.step(stamps.ARRIVED)


def _replies(part: Subset) -> ReplyTimes:
    ended_ns = _between(part)
    first_byte_ns = part.request(stamps.FIRST_BYTE)
    began_ns = np.where(first_byte_ns == ABSENT, ended_ns, np.clip(first_byte_ns, 0, ended_ns))
    return ReplyTimes(began_ns, ended_ns, part.told(told.TOTAL))


def _body(part: Subset) -> Nanoseconds:
    early = part.told(told.CAME_WITH_COLUMN) != CAME_WITH.index("end")
    if not early.any():  # as in most runs
        return np.zeros(len(early), np.int64)
    return np.where(early, body_ns(_replies(part), latency(part)), 0)


def _streams(part: Subset) -> Flags:
    return np.asarray(part.told(told.CAME_WITH_COLUMN) == CAME_WITH.index("stream"))


def _network(part: Subset) -> Nanoseconds:
    return _between(part) - part.told(told.TOTAL) - _body(part)


def _before_reply(part: Subset) -> Nanoseconds:
    return network_before_reply_ns(_replies(part), _network(part))


def _part(name: str, part: Subset) -> Nanoseconds:
    values = part.told(told.PART + name)
    return np.where(values == ABSENT, _NOT_REPORTED, values)


def _inference(within: Sequence[str], part: Subset) -> Nanoseconds:
    """The reported time of `inference`, plus its separately reported parts."""
    return summed([part.told(told.PART + one) for one in (INFERENCE, *within)], _NOT_REPORTED)


def _server_other(within: Sequence[str], part: Subset) -> Nanoseconds:
    named = sum(np.maximum(part.told(told.PART + one), 0) for one in (*REPORTED_PARTS, *within))
    return np.asarray(part.told(told.TOTAL) - named)


def _of_inference(chosen: Selection, times: ServerTimes) -> tuple[str, ...]:
    """The parts of `inference` that at least one request reports."""

    def tells(column: str, part: Subset) -> Flags:
        return np.asarray(part.told(column) != ABSENT)

    known = [one for one in INFERENCE_PARTS if one in times.parts]
    return tuple(one for one in known if chosen.count(partial(tells, told.PART + one)))


CLIENT_SIDE: Final[Mapping[str, Formula]] = {
    END_TO_END: latency,
    SERVICE_TIME: service_time,
    BACKLOG: _backlog,
    CONNECT: lambda part: part.request(stamps.CONNECT),
    CLIENT: _client,
}


def server_side(within: Sequence[str]) -> Mapping[str, Formula]:
    """The formulas of the server's components, given the reported parts of `inference`."""
    formulas: dict[str, Formula] = {
        NETWORK: _network,
        BODY: _body,
        SERVER_PROCESSING: lambda part: part.told(told.TOTAL),
        **{name: partial(_part, name) for name in (*REPORTED_PARTS, *within)},
        SERVER_OTHER: partial(_server_other, within),
    }
    return {**formulas, INFERENCE: partial(_inference, within)} if within else formulas
