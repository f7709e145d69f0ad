"""Read the mirror: component times that a server copies into its reply."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeGuard

from google.protobuf.message import DecodeError

from server_middleware.vocabulary import (
    INFERENCE,
    KNOWN_PARTS,
    MOST_OWN_NAMES,
    OUTSIDE,
    PREPROCESSING,
    QUEUE,
    SERVER_PROCESSING,
    SERVER_TIMING_HEADER,
    TIMING_HEADER,
    UNLISTED,
)
from tracebench.analysis.closure.attribution import mirror_timing
from tracebench.analysis.closure.own_components import cleaned
from tracebench.model.record.exchange import CameWith, Reply, Timing, Undecomposed
from tracebench.protos.inference_pb2 import PredictResponse
from tracebench.tracing.mirror.stream_timing import STREAM_TIMING_KEY, read_stream_timing

# The W3C's `Server-Timing` header: names and their durations.
#
# It is parsed as the standard prescribes for browsers: malformed parts are skipped, and only the
# first `dur` of a metric counts.

_STRAYS = re.compile(rf'(?:^|,)[ \t]*{OUTSIDE}[ \t]*;[ \t]*desc="?([0-9]{{1,9}})\b')
_SPACE = " \t"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"?')
_SEPARATORS = str.maketrans(dict.fromkeys(',;="'))


def durations(header: str) -> Iterator[tuple[str, str]]:
    """The metrics that have a duration.

    Args:
        header: the value of the header; several headers are joined by commas.

    Yields:
        A metric's name, and its `dur` as it was written (by convention in ms).
    """
    if '"' in header:
        header = _QUOTED.sub(lambda quoted: quoted[1].translate(_SEPARATORS), header)
    for metric in header.split(","):
        name, *parameters = metric.split(";")
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip(_SPACE).lower() == "dur":
                yield name.strip(_SPACE), value.strip(_SPACE)
                break


def strays(header: str) -> int:
    """How many components ran outside any request meanwhile; 0 if the server does not say."""
    found = _STRAYS.search(header) if OUTSIDE in header else None
    return int(found[1]) if found else 0


# The mirror: component times that a server copies into its reply.
#
# Four formats of the same facts are supported, tried in this order:
#
# 1. `X-Timing-Info`: a JSON object, in seconds
# 2. `Server-Timing`: the W3C's header, in ms
# 3. `x-total-time`, `x-inference-time` and so on: Text Generation Inference's headers, in whole ms
# 4. `timing_info`: entries of a gRPC reply's `PredictResponse`, in ms
#
# Over gRPC, the first two are metadata of the same names. Non-standard names come from the server's
# author, or from proxies that add to the header: see `mirror_timing`.

_SECOND_NS, _MILLISECOND_NS = 1e9, 1e6
_GRPC_SUCCESS = "OK"
_TOTAL: Final = "total"
_STANDARD: Final = frozenset({*KNOWN_PARTS, SERVER_PROCESSING})
STANDARD_NAMES: Final = (*_STANDARD, _TOTAL)
"""A reply with none of these names has no timing."""
_MOST_NAMES: Final = 2 * MOST_OWN_NAMES
"""Limit on the custom names read from one reply, so that none can fill the memory."""
_TIMING_KEY, _SERVER_TIMING_KEY = TIMING_HEADER.lower(), SERVER_TIMING_HEADER.lower()
_TGI_HEADERS: Final = {
    "x-total-time": SERVER_PROCESSING,
    "x-validation-time": PREPROCESSING,
    "x-queue-time": QUEUE,
    "x-inference-time": INFERENCE,
}
"""Headers of TGI's router, which rounds each value down, so that parts never exceed the total."""
HEADERS: Final = (_TIMING_KEY, _SERVER_TIMING_KEY, *_TGI_HEADERS)
"""All headers that may hold timings, in the order in which they are tried."""
REMARKS: Final = (OUTSIDE, UNLISTED)
"""What `Server-Timing` may report besides times, even if another header holds the times."""
_UNLISTED: Final = re.compile(rf'{UNLISTED};desc="(\d{{1,6}})"', re.ASCII)
_TGI_TOTAL, _TGI_INFERENCE = "x-total-time", "x-inference-time"


_STREAM_TYPES: Final = {
    "text/event-stream",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/json-seq",
    "multipart/x-mixed-replace",
}


class _Number(str):
    """A number as text, whose last digit shows to what precision it was rounded."""

    __slots__ = ()


_JSON = json.JSONDecoder(
    parse_float=_Number, parse_int=_Number, parse_constant=_Number, object_pairs_hook=tuple
)


def read_timing(reply: Reply) -> Timing | Undecomposed:
    """Read the timings that a server reports in its reply.

    The body is read as a `PredictResponse` only if the status is gRPC's OK: an HTTP status is
    digits, and a failed call has no message.

    Args:
        reply: any reply; its content is not trusted.

    Returns:
        The timing; NO_TIMING if no known name is reported, MALFORMED if a value cannot be read, and
        whatever `mirror_timing` finds wrong with the numbers.
    """
    try:
        timing = _read(reply)
    except DecodeError:  # another kind of message, or too large to have been kept whole
        return Undecomposed.NO_TIMING
    except (ValueError, OverflowError, RecursionError):
        return Undecomposed.MALFORMED
    if isinstance(timing, Undecomposed):
        return timing
    if found := strays(reply.headers.get(_SERVER_TIMING_KEY, "")):
        timing = timing._replace(strays=found)
    if (text := reply.headers.get(STREAM_TIMING_KEY)) is not None:
        timing = timing._replace(stream=read_stream_timing(text))
    return timing


def deciding(reply: Reply) -> tuple[str, ...]:
    """The headers that determine the reading; any that follow are irrelevant to it."""
    present = [name for name in HEADERS if name in reply.headers]
    told = read_timing(reply)
    for count in range(1, len(present) + 1):
        if alike(told, read_timing(only(reply, present[:count]))):
            return tuple(present[:count])
    return tuple(present)


def is_plain(told: Timing | Undecomposed) -> TypeGuard[Timing]:
    """Whether a reading is a timing without remarks, so that such replies can be read in bulk."""
    if isinstance(told, Undecomposed):
        return False
    return not (told.left_out or told.unlisted or told.strays or told.stream)


def only(reply: Reply, headers: Iterable[str]) -> Reply:
    """A reply with only these headers of another one, and nothing else."""
    return Reply("", {name: reply.headers[name] for name in headers}, b"")


def alike(one: Timing | Undecomposed, other: Timing | Undecomposed) -> bool:
    """Whether both are timings with the same content, wherever they were in the reply."""
    if isinstance(one, Undecomposed) or isinstance(other, Undecomposed):
        return False
    return one._replace(came_with=other.came_with) == other


def _read(reply: Reply) -> Timing | Undecomposed:
    headers = reply.headers
    if (text := headers.get(_TIMING_KEY)) is not None and (told := _told(_json(text))):
        return _with_unlisted(_timing(told, _SECOND_NS, _came_with(reply, _TIMING_KEY)), reply)
    if (text := headers.get(_SERVER_TIMING_KEY)) is not None and (told := _told(_metrics(text))):
        return _with_unlisted(
            _timing(told, _MILLISECOND_NS, _came_with(reply, _SERVER_TIMING_KEY)), reply
        )
    if _TGI_TOTAL in headers and _TGI_INFERENCE in headers and (told := _told(_tgi(headers))):
        return _with_unlisted(_timing(told, _MILLISECOND_NS, _came_with(reply, _TGI_TOTAL)), reply)
    if reply.status == _GRPC_SUCCESS and (told := _told(_entries(reply.body))):
        return _timing(told, _MILLISECOND_NS)
    return Undecomposed.NO_TIMING


def _with_unlisted(timing: Timing | Undecomposed, reply: Reply) -> Timing | Undecomposed:
    """Add the number of custom parts that the server had no room for."""
    if UNLISTED not in (text := reply.headers.get(_SERVER_TIMING_KEY, "")):
        return timing
    found = _UNLISTED.search(text)
    if found is None or isinstance(timing, Undecomposed):
        return timing
    return timing._replace(unlisted=timing.unlisted + int(found[1]))


def _came_with(reply: Reply, header: str) -> CameWith:
    """Where in the reply a header was."""
    if header in reply.late:
        return "end"
    return "stream" if _streams(reply) else "head"


def _streams(reply: Reply) -> bool:
    """Whether the rest of a slow reply was sent in pieces, as the server produced them.

    That is assumed if its length was not known in advance, and its type is that of a stream or it
    is short enough to be delivered at once. A long reply of another type may be slow because of its
    size.
    """
    if "content-length" in reply.headers or reply.status == _GRPC_SUCCESS:
        return False
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    return reply.whole or kind in _STREAM_TYPES


def _json(text: str) -> Iterable[tuple[str, object]]:
    pairs = _JSON.decode(text)
    if not isinstance(pairs, tuple):
        raise ValueError("not a JSON object")
    return pairs


def _metrics(text: str) -> Iterator[tuple[str, object]]:
    return ((name, _Number(duration)) for name, duration in durations(text))


def _tgi(headers: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    for header, name in _TGI_HEADERS.items():
        if header in headers:
            yield name, _Number(headers[header])


def _entries(body: bytes) -> Iterator[tuple[str, object]]:
    for entry in PredictResponse.FromString(body).timing_info:
        yield entry.component, _Number(entry.duration_ms)


class _Told(NamedTuple):
    """The values in a reply, as text."""

    standard: dict[str, _Number]
    """Includes the total."""
    own: dict[str, float]
    """Sums, if a name occurs more than once."""


def _told(reported: Iterable[tuple[str, object]]) -> _Told | None:
    """Sort the reported values; None if there is neither a standard name nor a total.

    A standard name may occur once, and must be a number. `total` is the server's total only if
    `server_processing` is not reported, as proxies may report a `total` of their own.
    """
    told = _Told({}, {})
    totals: list[object] = []
    for name, number in reported:
        if name == _TOTAL:
            totals.append(number)
        elif name in _STANDARD:
            _note(told.standard, name, number)
        elif name and isinstance(number, _Number):
            _add(told.own, cleaned(name), number)
    if SERVER_PROCESSING not in told.standard:
        for number in totals:
            _note(told.standard, SERVER_PROCESSING, number)
    return told if told.standard else None


def _note(known: dict[str, _Number], name: str, number: object) -> None:
    if name in known or not isinstance(number, _Number):
        raise ValueError(f"{name} is reported twice, or is not a number")
    known[name] = number


def _add(own: dict[str, float], name: str, number: str) -> None:
    try:
        value = float(number)
    except ValueError:  # not a time, then
        return
    if name in own or len(own) < _MOST_NAMES:
        own[name] = own.get(name, 0.0) + value


def _timing(told: _Told, unit_ns: float, came_with: CameWith = "end") -> Timing | Undecomposed:
    resolution_ns = unit_ns * 10.0 ** min(map(_last_digit, told.standard.values()))
    values_ns = {name: float(number) * unit_ns for name, number in told.standard.items()}
    total_ns = values_ns.pop(SERVER_PROCESSING, None)
    if told.own:
        values_ns |= {name: value * unit_ns for name, value in told.own.items()}
    return mirror_timing(total_ns, values_ns, resolution_ns, came_with)


def _last_digit(number: str) -> int:
    """The power of ten of a number's last digit: −3 for `0.125` and for `12.5e-2`."""
    if "e" in number or "E" in number:
        mantissa, _, exponent = number.lower().partition("e")
        return int(exponent or 0) - len(mantissa.partition(".")[2])
    point = number.find(".")
    return 0 if point < 0 else point + 1 - len(number)
