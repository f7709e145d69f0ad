"""The engine on real sockets, for tests: how to connect, and a window of one script."""

import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle

from tests.records import exchanges_of
from tests.servers import HOST, Script, serving
from tracebench.load.engine.connection import Connection, Owner
from tracebench.load.engine.dispatch import Ledger
from tracebench.load.engine.endpoint import Endpoint, resolve
from tracebench.load.engine.engine import Engine, Window
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.memory_mapped import MappedConnection, SharedBodies, SharedConnection
from tracebench.load.engine.pacing import Pacing
from tracebench.load.recording.read_record import Read
from tracebench.load.recording.replies import Learn
from tracebench.load.wire import http1
from tracebench.load.wire.http1 import Http1Codec, HttpRequest
from tracebench.model.record.exchange import Exchange, Outcome
from tracebench.tracing.roots.trace_ids import IdSource

Connect = Callable[[Owner, Ledger], Connection]
Make = Callable[[Loop, Endpoint, Sequence[HttpRequest]], Connect]


def request(body: bytes = b"x" * 1_000) -> HttpRequest:
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\ntraceparent: 00-"
    return HttpRequest(head.encode(), b"-01\r\n\r\n", body)


def local(port: int) -> Endpoint:
    return resolve(HOST, port, None)


def patient_with(endpoint: Endpoint) -> Endpoint:
    """Let a server on a busy machine take its time to close: how fast it is is not tested."""
    return replace(endpoint, closing_ns=2_000_000_000)


def copied(loop: Loop, endpoint: Endpoint, contents: Sequence[HttpRequest]) -> Connect:
    return lambda owner, ledger: Connection(loop, endpoint, Http1Codec(*contents), owner, ledger)


def mapped(loop: Loop, endpoint: Endpoint, contents: Sequence[HttpRequest]) -> Connect:
    return partial(MappedConnection, loop, endpoint, contents)


def shared(loop: Loop, endpoint: Endpoint, contents: Sequence[HttpRequest]) -> Connect:
    bodies = SharedBodies(contents)
    weakref.finalize(loop, bodies.close)
    return partial(SharedConnection, loop, endpoint, contents, bodies)


def run(
    make: Make,
    script: Script,
    pacing: Pacing,
    *,
    slots: int = 1,
    channels: int | None = None,
    timeout_s: float = 5.0,
    contents: Sequence[HttpRequest] = (),
    midway: Callable[[Engine], None] = lambda _engine: None,
    learn: Learn | None = None,
    read: Read = http1.read_reply,
    patient: bool = False,
) -> tuple[Window, list[Exchange]]:
    loop = Loop()
    with serving(script) as port:
        endpoint = patient_with(local(port)) if patient else local(port)
        engine = Engine(
            loop,
            make(loop, endpoint, contents or [request()]),
            slots=slots,
            channels=channels or slots,
            timeout_ns=int(timeout_s * 1e9),
            source=IdSource(),
            choose=cycle(range(len(contents))).__next__ if len(contents) > 1 else None,
            learn=learn,
        )
        assert engine.connect(len(engine.channels)) == ""
        midway(engine)
        window = engine.run(pacing, lambda _progress: None)
        for channel in engine.channels:
            channel.close()
        loop.close()
    return window, exchanges_of(window, read)


def outcomes(exchanges: list[Exchange]) -> Counter[tuple[Outcome, str]]:
    return Counter((one.outcome, one.reason) for one in exchanges)
