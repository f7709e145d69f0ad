"""The time to each stream's first token, divided into parts that add up to it exactly.

    first_token - sent = network_first + queue + preprocessing + prefill + server_before_first

`network_first` is what remains after subtracting the server's own time to the first token, by its
own clock. If the server does not report that, the two parts that depend on it are reported as one,
`server_and_network`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from server_middleware.vocabulary import DECODE, PREFILL, PREPROCESSING, QUEUE
from tracebench.analysis.closure.selection import Selection, Subset
from tracebench.model.components import NETWORK_FIRST, SERVER_AND_NETWORK, SERVER_BEFORE_FIRST
from tracebench.model.record import server_times as told
from tracebench.model.record.columns import ABSENT, Int64
from tracebench.model.record.exchange import StreamTimes
from tracebench.model.record.requests import DRAW, Flags
from tracebench.model.record.server_times import ServerTimes

BEFORE_FIRST: Final = (QUEUE, PREPROCESSING, PREFILL)
"""Parts of the server's time that end before the first token comes."""
_ROUNDING_NS: Final = 1_000
_ROUNDING: Final = 0.001
"""Tolerated excess between two processes' clocks: this fraction, plus `_ROUNDING_NS`."""


def stream_times(chosen: Selection, times: ServerTimes) -> StreamTimes | None:
    """The server times of the streams among requests; None if there are no usable ones."""
    names = {told.PART + name for name in (*BEFORE_FIRST, DECODE)}
    if not names.union((told.FIRST, told.WAITED)).intersection(times.columns.names):
        return None

    def column(name: str) -> Int64:
        return chosen.column(partial(_told, name))

    return StreamTimes(
        draws=chosen.column(lambda part: part.request(DRAW)),
        parts_ns={name: column(told.PART + name) for name in (*BEFORE_FIRST, DECODE)},
        first_ns=column(told.FIRST),
        waited_ns=column(told.WAITED),
        sizes=np.column_stack([column(name) for name in told.CHUNK_SIZES]),
        at_ns=np.column_stack([column(name) for name in told.CHUNK_TIMES]),
    )


def _told(name: str, part: Subset) -> Int64:
    return part.told(name)


def server_first(times: StreamTimes, first_sizes: Int64) -> Int64:
    """The server's own time to the first token, in ns; `ABSENT` where not reported.

    It ends when the server handed over the chunk with the last byte of the token's event. If the
    server does not know its chunks, the time it reports for the token itself is used.

    Args:
        times: the server times of the streams.
        first_sizes: size of each stream, in bytes, up to and including its first token.
    """
    reaches = (times.sizes != ABSENT) & (times.sizes >= first_sizes[:, None])
    chunk = np.take_along_axis(times.at_ns, reaches.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(reaches.any(axis=1), chunk, times.first_ns)


@dataclass(frozen=True, slots=True)
class FirstTokens:
    """The time of each request from `sent` to its first token, divided into parts."""

    parts_ns: Mapping[str, Int64]
    """Name → ns for each request; the parts add up to the whole. 0 where a request lacks a part."""
    apart: Flags
    """The requests for which network and server are separate."""
    scaled: Flags
    """The requests whose server times exceeded the whole within the tolerance, and were scaled."""
    left_out: Flags
    """The requests whose server times exceeded it by more, and are not used."""


def divide(waited_ns: Int64, named_ns: Mapping[str, Int64], server_ns: Int64) -> FirstTokens:
    """Divide the time to the first token.

    Args:
        waited_ns: the time of each request from `sent` to its first token.
        named_ns: component → the server's times for it; `ABSENT` where not reported.
        server_ns: the server's own time to the first token; `ABSENT` where unknown.
    """
    known_ns = {name: np.where(ns == ABSENT, 0, ns) for name, ns in named_ns.items()}
    apart = server_ns != ABSENT
    there_ns = np.where(apart, server_ns, waited_ns)
    sum_ns = np.sum([np.zeros_like(waited_ns), *known_ns.values()], axis=0)
    left_out = _exceeds(there_ns, waited_ns) | _exceeds(sum_ns, there_ns)
    scaled = ~left_out & ((there_ns > waited_ns) | (sum_ns > there_ns))
    apart &= ~left_out
    there_ns = np.where(apart, np.minimum(there_ns, waited_ns), waited_ns)
    parts_ns = _fitted(known_ns, np.where(left_out, 0, np.minimum(sum_ns, there_ns)))
    rest_ns = there_ns - np.sum([np.zeros_like(waited_ns), *parts_ns.values()], axis=0)
    found = {NETWORK_FIRST: waited_ns - there_ns, **parts_ns}
    found[SERVER_BEFORE_FIRST] = np.where(apart, rest_ns, 0)
    found[SERVER_AND_NETWORK] = np.where(apart, 0, rest_ns)
    return FirstTokens(found, apart, scaled, left_out)


def _exceeds(part_ns: Int64, whole_ns: Int64) -> Flags:
    """Flag the parts that exceed their whole by more than clocks may differ."""
    return np.asarray(part_ns - whole_ns > _ROUNDING_NS + _ROUNDING * whole_ns)


def _fitted(parts_ns: Mapping[str, Int64], sums_ns: Int64) -> dict[str, Int64]:
    """Scale parts so that they add up exactly to these sums, by differences of running sums."""
    running_ns = np.zeros_like(sums_ns)
    ends_ns = {name: (running_ns := running_ns + ns) for name, ns in parts_ns.items()}
    found, before_ns, per_ns = {}, np.zeros_like(sums_ns), sums_ns / np.maximum(running_ns, 1)
    for name, end_ns in ends_ns.items():
        scaled_ns = np.minimum(np.floor(end_ns * per_ns).astype(np.int64), sums_ns)
        scaled_ns = np.where(end_ns == running_ns, sums_ns, scaled_ns)
        end_ns = np.where(running_ns == sums_ns, end_ns, scaled_ns)
        found[name], before_ns = end_ns - before_ns, end_ns
    return found
