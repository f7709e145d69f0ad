"""Streams whose every byte is sent at a known time, on a network that stands still until moved."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.load.engines import request
from tests.load.fake_network import WAY_NS, Network, Serve, Socket
from tracebench.analysis.findings.finding import Evidence
from tracebench.analysis.streams.streams import summarise_streams
from tracebench.analysis.summary.summary import summarise
from tracebench.load.engine.connection import Connection
from tracebench.load.engine.engine import Engine
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.recording.read_record import Read, ReadRecord, read_record
from tracebench.load.streams.hanging_up import HangingUp
from tracebench.load.streams.reading import Streaming
from tracebench.load.streams.tokens import Answer
from tracebench.load.wire import http1
from tracebench.load.wire.codec import Codec
from tracebench.load.wire.http1 import StreamingHttp1Codec
from tracebench.model.measurement import Measurement
from tracebench.model.plan import HangUp
from tracebench.model.record.exchange import Decomposition
from tracebench.model.results.result import TargetResult
from tracebench.model.results.stream_result import StreamResult
from tracebench.tracing.roots.trace_ids import IdSource

MS = 1_000_000
BOTH_WAYS_MS = 2 * WAY_NS / MS
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"
Json = dict[str, Any]
Part = tuple[float, bytes]
"""When it is sent, in ms after the request came, and what."""


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(said: Json) -> bytes:
    return b"data: " + json.dumps(said, separators=(",", ":")).encode() + b"\n\n"


def delta(finish: str | None = None, **said: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": said, "finish_reason": finish}]})


def usage(output: int, **more: Any) -> bytes:
    counts = {"prompt_tokens": 16, "completion_tokens": output, **more}
    return event({"choices": [], "usage": counts})


def tokens(
    count: int = 64,
    *,
    first_ms: float = 50,
    gap_ms: float = 10,
    text: str = " the",
    end: bytes = delta("length") + DONE,
) -> list[Part]:
    """A token after a while, then one at a time, each in an event of its own."""
    parts = [(first_ms + gap_ms * at, delta(content=text)) for at in range(count)]
    return [*parts, (parts[-1][0], end)]


def chat(parts: Sequence[Part], head: bytes = HEAD) -> list[Part]:
    """Sent in chunks, the head at once, the last chunk with the last part."""
    sent = [(at_ms, chunk(data)) for at_ms, data in parts]
    return [(0, head), *sent[:-1], (sent[-1][0], sent[-1][1] + LAST_CHUNK)]


def streams(parts: Sequence[Part], then: Callable[[Socket], None] = lambda _one: None) -> Serve:
    """A server that sends these to every request."""

    def serve(one: Socket, data: bytes) -> None:
        if not data.endswith(b"x"):
            return
        for at_ms, part in parts:
            one.says(part, round(at_ms * MS))
        then(one)

    return serve


@dataclass
class Streamed:
    """A run against a server; times are in ms."""

    serve: Serve
    requests: int = 1
    slots: int = 1
    path: tuple[str, ...] = ()
    message: Callable[[Answer, bytes], int] | None = None
    timeout_ms: float = 1_000
    stream_timeout_ms: float = 1e9
    channels: int | None = None
    codec: Callable[[], Codec] = lambda: StreamingHttp1Codec(request(b"x" * 100))
    read: Read = http1.read_reply
    busy_ms: Sequence[tuple[float, float]] = ()
    """When the client is busy with something else, and for how long."""
    hang_up: HangUp | None = None
    network: Network = field(init=False)
    load: Measurement = field(init=False)

    def __post_init__(self) -> None:
        self.network = Network(self.serve)
        loop, endpoint = self.network.loop, self.network.endpoint
        how = Streaming(self.path, round(self.stream_timeout_ms * MS), self.message)
        engine = Engine(
            loop,
            lambda owner, ledger: Connection(loop, endpoint, self.codec(), owner, ledger),
            slots=self.slots,
            channels=self.channels or self.slots,
            timeout_ns=round(self.timeout_ms * MS),
            source=IdSource(),
            streaming=how,
            hanging_up=None if self.hang_up is None else HangingUp(self.hang_up, 1, how),
        )
        assert engine.connect(len(engine.channels)) == ""
        for at_ms, for_ms in self.busy_ms:
            self.network.hold_up(round(at_ms * MS), round(for_ms * MS))
        window = engine.run(ClosedLoop(self.requests), lambda _progress: None)
        for channel in engine.channels:
            channel.close()
        loop.close()
        found = window.streams.finish(lambda _done, _of: None)
        reading = ReadRecord(self.read, window.ids, faults=found.faults, timings=found.timings)
        record = read_record(window.recorder, reading)
        duration_s = record.requests.duration_ns / 1e9
        self.load = Measurement(
            record.requests,
            record.times,
            duration_s=duration_s,
            cpu_s=0,
            tcp=None,
            streams=found,
            hang_up_after="" if self.hang_up is None else str(self.hang_up),
        )

    @property
    def result(self) -> StreamResult:
        from tracebench.analysis.closure.decomposition import decompose

        decomposition = decompose(self.load.requests, self.load.times)
        found = summarise_streams(self.load, decomposition.streams)
        assert found is not None
        return found

    @property
    def codes(self) -> set[str]:
        """Of the findings about streams."""
        from tracebench.analysis.findings.server.streams import JUDGES  # the tests' own

        evidence: Any = Evidence(
            self.load,
            Decomposition.__new__(Decomposition),
            self.target.requests,
            {},
            self.load.requests.whole(lambda rows: rows.since_scheduled("done")),
            None,
            {},
            stream=self.result,
            errors=self.target.errors,
        )
        return {found.code for judge in JUDGES if (found := judge(evidence)) is not None}

    @property
    def target(self) -> TargetResult:
        from tracebench.analysis.closure.decomposition import decompose

        return summarise("x", self.load, decompose(self.load.requests, self.load.times))
