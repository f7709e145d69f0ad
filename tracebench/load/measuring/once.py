"""Single exchanges, made as the run will make them."""

from typing import NamedTuple

from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.measuring.measure import engine_for
from tracebench.load.measuring.read_window import read
from tracebench.load.progress import Watcher
from tracebench.load.recording.read_record import hidden
from tracebench.model.errors import TargetError
from tracebench.model.record.exchange import Exchange
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.record.streams import Streams


class Once(NamedTuple):
    """A single exchange."""

    exchange: Exchange
    times: ServerTimes
    """Timings reported by the server."""
    streams: Streams
    """The stream of the reply; empty if it was not streamed."""
    closes: bool
    """Whether the server closed the connection although it had promised to keep it open."""


def once(prepared: PreparedTarget) -> Once:
    """Make one exchange through the engine, with all its stamps.

    Raises:
        TargetError: no connection can be made.
    """
    if why := greet(prepared):
        raise TargetError(f"{prepared.address}: {why}")
    return attempt(prepared)


def greet(prepared: PreparedTarget) -> str:
    """Connect until requests can be sent; returns the reason of a failure, or an empty string."""
    with engine_for(prepared, slots=1, channels=1) as engine:
        return engine.connect(1).partition(": ")[2]


def attempt(prepared: PreparedTarget, wait_s: float = 0.0) -> Once:
    """Make one exchange as the run will; without a connection, its `reason` says why.

    Args:
        prepared: the target.
        wait_s: how long to watch, after a streamed reply, for the server closing a connection
            that it promised to keep open.
    """
    with engine_for(prepared, slots=1, channels=1) as engine:
        window = engine.run(ClosedLoop(requests=1), lambda _progress: None)
        record, streams = read(window, prepared, Watcher())
        closes = bool(wait_s and len(streams)) and engine.ends_idle(int(wait_s * 1e9))
    kept = next(window.recorder.replies.whole(), None)
    exchange = record.requests.exchange(0)
    if kept is not None:
        reply, reason = prepared.read(kept)
        exchange = exchange._replace(reply=hidden(reply, prepared.secrets) if reason else reply)
    return Once(exchange, record.times, streams, closes)
