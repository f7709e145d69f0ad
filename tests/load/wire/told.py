"""Random replies that tell timings, what a server may change about them, and two ways to read them.

One way is the reader of single replies; the other is that of a recorded window, which knows replies
by their form. `benchmarks/long` compares the two far more often than a test has time for.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final, NamedTuple

import numpy as np
from hpack import Encoder

from tests.records import numbered
from tracebench.load.recording.read_record import Read, ReadRecord, read_record
from tracebench.load.recording.replies import FIRST_FORM, Learn, Replies
from tracebench.load.recording.rows import ROW, RowRecorder
from tracebench.load.recording.spill import Spill
from tracebench.load.wire import grpc_pattern, grpc_reply, http1, http1_pattern
from tracebench.load.wire.codec import RawReply, Slot
from tracebench.load.wire.grpc_request import PREFIX, literal
from tracebench.model.record.exchange import Stamp, Timing, Undecomposed
from tracebench.protos.inference_pb2 import PredictResponse, TimingInfo
from tracebench.tracing.mirror import timings

Told = Timing | Undecomposed
Headers = tuple[tuple[str, str], ...]
Change = Callable[[str], str]

STANDARD: Final = ("queue", "preprocessing", "inference", "postprocessing", "server_other")
OWN: Final = ("conv2d", "layer 1", "layer_1", "a.b", "cache", "3", "db-2", "1e3", "total2", "X")
TOTALS: Final = ("server_processing", "server_processing", "total")
TGI: Final = ("x-validation-time", "x-queue-time", "x-inference-time")
_NO_JSON: Final = ("00", "007", "+1", ".5", "5.", "1.2.3", "1 2", "", "0x10", "1_0", "inf")
_SIGNED: Final = ("-0", "-1", "1e-3", "5E2", "2e-9", "1e400", "NaN", '"3"')
_LONG: Final = ("9" * 17, "9" * 18, "9" * 30, "0.0000000006", "0.00000000000000000000000001")
_HUGE: Final = ("4611686018427387904", "4611686018427.387905", "9007199.254740993")
ODD: Final = ("0", "0.0", *_NO_JSON, *_SIGNED, *_LONG, *_HUGE)
_NUMBER: Final = re.compile(r"(?<![\w.])-?[0-9][0-9.]*(?:[eE][-+]?[0-9]+)?")
_DURATION: Final = re.compile(r"(?<=dur=)[^,;]+|(?<=\": )[0-9.eE+-]+|^[0-9]+$")
_TIMED: Final = ("x-timing-info", "server-timing", "x-total-time", *TGI)
_FRAMED: Final = ("content-length", "transfer-encoding")


class Protocol(NamedTuple):
    """How the replies of a protocol are known, and read."""

    learn: Learn
    read: Read


HTTP: Final = Protocol(http1_pattern.pattern_of, http1.read_reply)
GRPC: Final = Protocol(
    lambda raw: grpc_pattern.pattern_of(raw, grpc_reply.read_reply), grpc_reply.read_reply
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A reply that is not bytes yet."""

    protocol: Protocol
    headers: Headers
    """Over gRPC the trailers."""
    body: bytes
    entries: tuple[tuple[str, float], ...] = ()
    """Of `timing_info`."""
    huffman: bool = False

    def raw(self) -> RawReply:
        """As a codec keeps it."""
        if self.protocol is HTTP:
            lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
            return (f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode("latin-1") + self.body,)
        message = self.body + PredictResponse(timing_info=list(self._entries())).SerializeToString()
        initial = block([(":status", "200"), ("content-type", "application/grpc")], self.huffman)
        trailing = block([("grpc-status", "0"), *self.headers], self.huffman)
        return initial, PREFIX.pack(0, len(message)) + message, trailing

    def _entries(self) -> Iterator[TimingInfo]:
        return (TimingInfo(component=name, duration_ms=ms) for name, ms in self.entries)


def block(fields: Sequence[tuple[str, str]], huffman: bool) -> bytes:
    """A header block that depends on nothing before it."""
    if not huffman:
        return b"".join(literal(name.encode(), value.encode("latin-1")) for name, value in fields)
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder.encode([(name, value, True) for name, value in fields], huffman=True)


def sample(random: Random) -> Sample:
    """A reply that tells its timings in one of the ways that there are."""
    makes = (_in_json, _in_metrics, _in_both, _tgi, _in_trailers, _in_message)
    return random.choice(makes)(random)


def http_sample(random: Random) -> Sample:
    """Such a reply over HTTP/1.1."""
    found = sample(random)
    while found.protocol is not HTTP:
        found = sample(random)
    return found


def _http(random: Random, *timed: tuple[str, str]) -> Sample:
    body = bytes(random.choice((0, 2, 1_500)))
    framed = [("Content-Length", str(len(body)))]
    if random.random() < 0.2:
        framed, body = [("Transfer-Encoding", "chunked")], _chunked(body)
    if random.random() < 0.2:
        framed.append(("Content-Type", random.choice(("text/event-stream", "application/json"))))
    headers = [("Server", "x/1.2"), *framed, *timed, ("X-Request-Id", f"{random.random()}")]
    if random.random() < 0.3:
        random.shuffle(headers)
    return Sample(HTTP, tuple(headers), body)


def _chunked(body: bytes) -> bytes:
    return (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"


def _in_json(random: Random) -> Sample:
    return _http(random, ("X-Timing-Info", _json(random)))


def _in_metrics(random: Random) -> Sample:
    return _http(random, ("Server-Timing", _metrics(random)))


def _in_both(random: Random) -> Sample:
    return _http(random, ("X-Timing-Info", _json(random)), ("Server-Timing", _metrics(random)))


def _tgi(random: Random) -> Sample:
    parts = [random.randrange(100) for _ in TGI]
    total = ("x-total-time", str(sum(parts) + random.randrange(-1, 3)))
    return _http(random, total, *zip(TGI, map(str, parts), strict=True))


def _in_trailers(random: Random) -> Sample:
    name, value = random.choice(
        [("x-timing-info", _json(random)), ("server-timing", _metrics(random))]
    )
    timed = [(name, value)]
    if random.random() < 0.2:
        timed.append(("server-timing" if name[0] == "x" else "x-total-time", _metrics(random)))
    body = PredictResponse(result="x" * random.choice((0, 5, 3_000))).SerializeToString()
    return Sample(GRPC, tuple(timed), body, huffman=random.random() < 0.05)


def _in_message(random: Random) -> Sample:
    body = PredictResponse(result="x" * random.choice((0, 5, 200))).SerializeToString()
    entries = tuple((name, float(number)) for name, number in _parts(random, 1e3))
    return Sample(GRPC, (), body, entries, huffman=random.random() < 0.05)


def _json(random: Random) -> str:
    """Of an object, whose names may occur twice."""
    members = [f"{json.dumps(name)}: {number}" for name, number in _parts(random, 1.0)]
    if random.random() < 0.1:
        others = ('"a": [5, 6]', '"b": "7"', '"c": {"queue": 3}', '"d": null', '"\\"1": 3e-5')
        members.insert(random.randrange(len(members) + 1), random.choice(others))
    return "{" + ", ".join(members) + "}"


def _metrics(random: Random) -> str:
    metrics = [f"{name};dur={number}" for name, number in _parts(random, 1e3)]
    if random.random() < 0.1:
        others = (
            *("hit", 'cdn;desc="1, 2"', "edge;desc=5;dur=1", 'x;desc="7', "a;dur=1;dur=2"),
            *("components_outside_requests;desc=0", 'components_unlisted;desc="0"'),
        )
        metrics.insert(random.randrange(len(metrics) + 1), random.choice(others))
    return ", ".join(metrics)


def _parts(random: Random, units_a_second: float) -> list[tuple[str, str]]:
    """Names and numbers; now and then, the parts exceed their total a little."""
    names = [name for name in STANDARD if random.random() < 0.5]
    own = [name for name in OWN if random.random() < 0.15]
    names += own + own[: random.choice((0, 0, 0, 1))]
    parts_s = [random.choice((0, 1e-9, 1e-4, 0.02, 1.0)) * random.random() for _ in names]
    total_s = sum(parts_s) * random.choice((1.0, 1.0001, 1.5, 2.0)) + random.choice((0, 1e-3))
    timed = [*zip(names, parts_s, strict=True), (random.choice(TOTALS), total_s)]
    if random.random() < 0.5:
        random.shuffle(timed)
    return [(name, written(random, seconds * units_a_second)) for name, seconds in timed]


def written(random: Random, number: float) -> str:
    """A number as some server would write it."""
    if random.random() < 0.1:
        return random.choice((repr(number), f"{number:.3e}"))
    return f"{number:.{random.choice((1, 3, 3, 6, 6, 9, 17, 19))}f}"


def changed(random: Random, one: Sample) -> Sample:
    """The same reply with other numbers, and one in three times with something else besides."""
    other = replace(one, headers=tuple(_renumbered(random, one.headers)))
    if one.entries:
        scale = random.choice((0.0, 0.5, 1.0, 3.0))
        entries = tuple((name, ms * scale) for name, ms in one.entries)
        other = replace(other, entries=entries)
    return random.choice(_CHANGES)(random, other) if random.random() < 0.4 else other


def _renumbered(random: Random, headers: Headers) -> Iterator[tuple[str, str]]:
    scale = random.choice((0.5, 0.999, 1.0, 2.0, 1e-7))
    for name, value in headers:
        if name.lower() in _TIMED:
            value = _DURATION.sub(lambda found: _scaled(random, found[0], scale), value)
        yield name, value


def _scaled(random: Random, text: str, scale: float) -> str:
    try:
        number = float(text) * scale
    except ValueError:
        return text
    if text.isdecimal():
        return str(int(number)) if abs(number) < 1e30 else text
    return text if "e" in text else f"{number:.{random.choice((1, 3, 6, 9, 19))}f}"


def _other_number(random: Random, one: Sample) -> Sample:
    """One number of a header, or of the message, written oddly."""
    if one.entries:
        entries, at = list(one.entries), random.randrange(len(one.entries))
        number = random.choice(
            (-1.0, -0.0, float("nan"), float("inf"), 1e300, 5e-324, 2.0**62 / 1e6)
        )
        entries[at] = (entries[at][0], number)
        return replace(one, entries=tuple(entries))
    return _in_a_value(random, one, lambda _text: random.choice(ODD))


def _in_a_value(random: Random, one: Sample, change: Change) -> Sample:
    def changed(value: str) -> str:
        if not (found := list(_NUMBER.finditer(value))):
            return value
        number = random.choice(found)
        return value[: number.start()] + change(number[0]) + value[number.end() :]

    return _with_value(random, one, changed)


def _with_value(random: Random, one: Sample, change: Change) -> Sample:
    """Another value of a header that does not tell where the reply ends."""
    places = [at for at, (name, _) in enumerate(one.headers) if name.lower() not in _FRAMED]
    if not places:
        return one
    headers, at = list(one.headers), random.choice(places)
    headers[at] = (headers[at][0], change(headers[at][1]))
    return replace(one, headers=tuple(headers))


def _part_again(random: Random, one: Sample) -> Sample:
    def again(value: str) -> str:
        members = value.strip("{}").split(", ")
        twice = ", ".join([*members, random.choice(members)])
        return "{" + twice + "}" if value.startswith("{") else twice

    if one.entries:
        return replace(one, entries=(*one.entries, random.choice(one.entries)))
    return _with_value(random, one, again)


def _other_length(random: Random, one: Sample) -> Sample:
    body = bytes(random.choice((0, 3, 900, 1_400, 2_500)))
    if one.protocol is GRPC:
        return replace(one, body=PredictResponse(result=body.decode()).SerializeToString())
    if any(name == "Transfer-Encoding" for name, _ in one.headers):
        return replace(one, body=_chunked(body)[: 1_700 + random.randrange(2)])
    headers = dict(one.headers) | {"Content-Length": str(len(body))}
    return replace(one, headers=tuple(headers.items()), body=body)


def _another_header(random: Random, one: Sample) -> Sample:
    extra = random.choice(
        [
            *(("x-new", "1"), ("server-timing", "total;dur=3"), ("server-timing", "cdn;dur=1")),
            *(("x-timing-info", '{"total": 1}'), ("x-total-time", "5")),
            ("server-timing", 'components_outside_requests;desc="4"'),
            ("server-timing", 'components_unlisted;desc="4"'),
        ]
    )
    headers = list(one.headers)
    headers.insert(random.randrange(len(headers) + 1), extra)
    return replace(one, headers=tuple(headers))


def _white_space(random: Random, one: Sample) -> Sample:
    def spaced(value: str) -> str:
        place = random.randrange(len(value) + 1)
        return value[:place] + random.choice((" ", "\t", "  ")) + value[place:]

    return _with_value(random, one, spaced)


def _one_character(random: Random, one: Sample) -> Sample:
    """Any printable character instead of another."""

    def other(value: str) -> str:
        place = random.randrange(len(value) + 1)
        return value[:place] + chr(random.randrange(32, 127)) + value[place + 1 :]

    if not one.headers:
        return replace(one, body=one.body + b"\x10\x01")
    return _with_value(random, one, other)


def _header_gone(random: Random, one: Sample) -> Sample:
    places = [at for at, (name, _) in enumerate(one.headers) if name.lower() not in _FRAMED]
    if not places:
        return one
    gone = random.choice(places)
    return replace(one, headers=one.headers[:gone] + one.headers[gone + 1 :])


_CHANGES: Final = (
    *(_other_number, _other_number, _other_number, _part_again, _other_length, _another_header),
    *(_white_space, _one_character, _one_character, _header_gone),
)


class Compared(NamedTuple):
    """A reply read both ways."""

    fast: bool
    """It was known by its form."""
    recorded: Told
    single: Told

    @property
    def equal(self) -> bool:
        """Whether both ways tell the same."""
        return comparable(self.recorded) == comparable(self.single)


def comparable(told: Told) -> Told:
    """A reading in which no order matters."""
    if isinstance(told, Undecomposed):
        return told
    return told._replace(parts_ns=dict(told.parts_ns), left_out=tuple(sorted(told.left_out)))


def compared(protocol: Protocol, first: RawReply, *others: RawReply) -> list[Compared]:
    """Read the others as a window does that has learnt from the first."""
    recorder = recorded(protocol.learn, first, *others)
    forms = row_forms(recorder)
    reading = ReadRecord(protocol.read, numbered())
    told = list(read_record(recorder, reading).times)
    return [
        Compared(form >= FIRST_FORM, one, single(protocol, raw))
        for form, one, raw in zip(forms[1:], told[1:], others, strict=True)
    ]


def single(protocol: Protocol, raw: RawReply) -> Told:
    """What the reader of single replies makes of a reply; of a failure, nothing."""
    reply, reason = protocol.read(raw)
    return Undecomposed.NO_TIMING if reason else timings.read_timing(reply)


def recorded(learn: Learn | None, *raws: RawReply, spill: Spill | None = None) -> RowRecorder:
    """A closed record of replies, forms of which are learnt as soon as they come."""
    recorder = RowRecorder(Replies(learn, lambda callback: callback()), spill or Spill())
    slot = Slot(lambda _slot: None)
    for number, raw in enumerate(raws):
        slot.reply, slot.draw = raw, number
        slot.scheduled_ns = slot.sent_ns = 1_000 * number + 1
        recorder.write(slot, slot.sent_ns + 10, slot.sent_ns + 20, Stamp.KERNEL)
    recorder.close()
    return recorder


def row_forms(recorder: RowRecorder) -> list[int]:
    """What the rows of a closed record say of their replies."""
    return [
        int(form) for page in recorder._pages for form in np.frombuffer(page.read(), ROW)["reply"]
    ]
