"""Each request's latency divided into components that add up to it exactly.

- end_to_end = backlog + connect + client + network + body + server_processing
- server_processing = queue + preprocessing + inference + postprocessing + server_other

Parts by names of the author's own are parts of `server_other`, and stand in no sum.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final

import numpy as np

from tracebench.analysis.clocks import clock_offset
from tracebench.analysis.late_body import Replies, body_ns, network_before_reply_ns
from tracebench.analysis.own_parts import own_parts
from tracebench.analysis.sources import differing
from tracebench.model.exchange import (
    Decomposition,
    Exchange,
    Nanoseconds,
    Outcome,
    Timing,
    Undecomposed,
)
from tracebench.vocabulary import (
    BACKLOG,
    BODY,
    CLIENT,
    CONNECT,
    END_TO_END,
    NETWORK,
    REPORTED_PARTS,
    SERVER_AND_NETWORK,
    SERVER_OTHER,
    SERVER_PROCESSING,
    SERVICE_TIME,
)

_NOT_REPORTED: Final = -1
"""Stands in a column for a part that the server did not report."""


def decompose(
    exchanges: Sequence[Exchange], timings: Sequence[Timing | Undecomposed]
) -> Decomposition:
    """Divide the latency of every success whose server time is known.

    Args:
        exchanges: in any order.
        timings: what the server says of each; ignored for what did not succeed.

    Returns:
        Columns for the leaf components, `server_processing`, `end_to_end`, `service_time` and
        the author's own parts, in the order of scheduling, and the reasons why other successes
        have no row. `server_other` is always the rest; in the other parts −1 says that the server
        did not report them.
    """
    undecomposed: Counter[Undecomposed] = Counter()
    rows: list[tuple[Exchange, Timing]] = []
    for exchange, timing in zip(exchanges, timings, strict=True):
        if exchange.outcome is not Outcome.SUCCEEDED:
            continue
        if isinstance(timing, Undecomposed):
            undecomposed[timing] += 1
        elif timing.total_ns > exchange.arrived_ns - exchange.sent_ns:
            undecomposed[Undecomposed.NEGATIVE_NETWORK] += 1
        else:
            rows.append((exchange, timing))
    rows.sort(key=lambda row: row[0].scheduled_ns)
    decomposed = [timing for _, timing in rows]
    own = own_parts(decomposed, _NOT_REPORTED)
    columns = _with_server(client_view([exchange for exchange, _ in rows]), rows)
    streams = np.fromiter((timing.came_with == "stream" for timing in decomposed), bool, len(rows))
    return Decomposition(
        trace_ids=tuple(exchange.trace_id for exchange, _ in rows),
        columns={**columns, **own.columns},
        undecomposed=undecomposed,
        sources=Counter(timing.source for timing in decomposed),
        scaled=sum(timing.scaled for timing in decomposed),
        clock=clock_offset(rows),
        own=tuple(own.columns),
        left_out=own.left_out,
        unlisted=own.unlisted,
        before_reply_ns=network_before_reply_ns(_replies(rows), columns[NETWORK]),
        strays=sum(timing.strays > 0 for timing in decomposed),
        with_both=sum(timing.differs_ns is not None for timing in decomposed),
        disagreed=sum(bool(timing.differs_ns) for timing in decomposed),
        differing=differing(decomposed),
        streamed=int(np.count_nonzero(columns[BODY][streams])),
    )


def ranked(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """What latencies are told of, in the order of scheduling: every success and every time-out."""
    known = [one for one in exchanges if one.outcome in (Outcome.SUCCEEDED, Outcome.TIMED_OUT)]
    return sorted(known, key=attrgetter("scheduled_ns"))


def client_view(exchanges: Iterable[Exchange]) -> dict[str, Nanoseconds]:
    """What the client alone can tell of every success.

    Returns:
        Columns of `end_to_end`, `service_time`, `backlog`, `connect`, `client` and
        `server_and_network`, in the order of scheduling; the last four sum to the first.
    """
    successes = [one for one in exchanges if one.outcome is Outcome.SUCCEEDED]
    successes.sort(key=attrgetter("scheduled_ns"))

    def column(stamp: str) -> Nanoseconds:
        return np.fromiter(map(attrgetter(stamp), successes), np.int64, len(successes))

    scheduled_ns = column("scheduled_ns")
    connect_ns = column("connect_ns")
    ready_ns = column("ready_ns")
    sent_ns = column("sent_ns")
    arrived_ns = column("arrived_ns")
    done_ns = column("done_ns")
    return {
        END_TO_END: done_ns - scheduled_ns,
        SERVICE_TIME: done_ns - sent_ns,
        BACKLOG: ready_ns - scheduled_ns - connect_ns,
        CONNECT: connect_ns,
        CLIENT: (sent_ns - ready_ns) + (done_ns - arrived_ns),
        SERVER_AND_NETWORK: arrived_ns - sent_ns,
    }


def reported(column_ns: Nanoseconds) -> Nanoseconds:
    """What a column holds, without the requests that lack the component."""
    return np.extract(column_ns != _NOT_REPORTED, column_ns)


def _replies(rows: Sequence[tuple[Exchange, Timing]]) -> Replies:
    """When each reply began and ended, after the request was sent, and what the server says."""

    def column(values_ns: Iterator[int]) -> Nanoseconds:
        return np.fromiter(values_ns, np.int64, len(rows))

    began_ns = column((one.first_byte_ns or one.arrived_ns) - one.sent_ns for one, _ in rows)
    ended_ns = column(one.arrived_ns - one.sent_ns for one, _ in rows)
    return Replies(
        began_ns=np.clip(began_ns, 0, ended_ns),
        ended_ns=ended_ns,
        server_ns=column(timing.total_ns for _, timing in rows),
    )


def _with_server(
    client: dict[str, Nanoseconds], rows: Sequence[tuple[Exchange, Timing]]
) -> Mapping[str, Nanoseconds]:
    """Split what lies between `sent` and `arrived`."""
    parts_ns = {
        part: np.fromiter(
            (timing.parts_ns.get(part, _NOT_REPORTED) for _, timing in rows), np.int64, len(rows)
        )
        for part in REPORTED_PARTS
    }
    named_ns = sum(np.maximum(values_ns, 0) for values_ns in parts_ns.values())
    with_head = np.fromiter((timing.came_with != "end" for _, timing in rows), bool, len(rows))
    replies = _replies(rows)
    total_ns = replies.server_ns
    apart_ns = np.where(with_head, body_ns(replies, client[END_TO_END]), 0)
    between_ns = client.pop(SERVER_AND_NETWORK)
    return {
        **client,
        NETWORK: between_ns - total_ns - apart_ns,
        BODY: apart_ns,
        SERVER_PROCESSING: total_ns,
        **parts_ns,
        SERVER_OTHER: total_ns - named_ns,
    }
