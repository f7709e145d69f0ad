"""The engine's side of the receiver: starts its process, and fetches the spans."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic, monotonic_ns, sleep
from types import TracebackType
from typing import Final, NamedTuple

from tracebench.analysis.closure.missing_spans import NOTHING, OtherSpans
from tracebench.model.errors import UsageError
from tracebench.model.record.columns import Int64
from tracebench.model.record.span_columns import Spans
from tracebench.system.child_process import Child
from tracebench.tracing.otlp.destination import destination_of
from tracebench.tracing.receiver.completeness import Gathering, Patience, Roots
from tracebench.tracing.receiver.messages import Fetch, Fetched, Ready, Setup
from tracebench.tracing.receiver.settings import DEFAULT, Bounds, address, bind_of
from tracebench.tracing.receiver.store import (
    FORWARD_FAILED,
    FORWARD_WAITING,
    FORWARDED,
    RECEIVED,
    REJECTED,
    SPAN_COUNTS,
)
from tracebench.tracing.slow_notice import QUIET_S

_START_S: Final = 30.0
_ANSWER_S: Final = 30.0
_POLL_S: Final = 0.1
_FORWARDING_S: Final = 5.0


class Waiting(NamedTuple):
    """The state of the wait for late spans."""

    missing: int
    """Requests without an entry span."""
    left_s: float
    """How long the wait will last if nothing comes."""
    read: int = 0
    """How many spans have been read so far; 0 if none are being read."""


@dataclass(frozen=True, slots=True)
class Received:
    """What was received for one target; span counts cover the receiver's whole lifetime."""

    spans: Spans
    wanted: int
    missing: Int64
    """Indices of the roots whose entry span (the child of our root span) did not arrive."""
    received: int
    rejected: int
    """Spans that are unusable, which was reported to the exporter."""
    dropped: int
    """Spans beyond the memory that one target may use."""
    forwarded: int
    forward_failed: int
    refused: Mapping[str, int]
    """Reason → number of requests or connections refused."""
    ended_by: str
    """Why the wait ended."""
    instead: OtherSpans = NOTHING
    """What arrived in place of missing entry spans."""
    problem: str = ""
    """Why the first of the rejected spans cannot be used."""

    @property
    def joined(self) -> int:
        """How many traces have their entry span."""
        return self.wanted - len(self.missing)


class Receiver:
    """Receives spans over OTLP in its own process, until it is closed.

    Args:
        bind: `HOST:PORT` for gRPC; HTTP takes the next port. Port 0: any two.
        forward: where to forward what arrives; None: nowhere.
        bounds: the limits.

    Raises:
        UsageError: `bind` is malformed or in use, or `forward` is malformed.
    """

    def __init__(
        self, bind: str = DEFAULT, forward: str | None = None, bounds: Bounds | None = None
    ) -> None:
        self._bounds = bounds or Bounds()
        at = bind_of(bind)
        if forward is not None:
            destination_of(forward)
        self._problem = ""
        self._child = Child("tracebench.tracing.receiver.process", _FORWARDING_S)
        self._pipe = self._child.pipe
        try:
            self._pipe.send(Setup(at, forward, self._bounds))
            ready = self._first_word()
            if ready.failure:
                raise UsageError(
                    f"cannot receive OTLP at {ready.failure}; "
                    "give a free address with --receive-otlp HOST:PORT (HTTP takes PORT + 1)"
                )
        except BaseException:
            self.close()
            raise
        self.grpc_address = address(at.host, ready.grpc_port)
        self.http_address = address(at.host, ready.http_port)

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; uncollected spans are lost."""
        self._child.close()

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._child.pid

    def collect(
        self,
        roots: Roots,
        load_began_s: float = 0.0,
        stopped: Callable[[], bool] = lambda: False,
        on_wait: Callable[[Waiting], object] = lambda _waiting: None,
    ) -> Received:
        """Wait for late spans, and return all that arrived since the last call.

        Args:
            roots: the client's root spans of all requests that were answered.
            load_began_s: on the monotonic clock; until exporters have had time to send once since
                then, some may not have been heard from yet.
            stopped: whether to stop waiting; called ten times a second.
            on_wait: called equally often.
        """
        gathering = Gathering(roots, self._bounds.kept_bytes)
        counts: Counter[str] = Counter()
        try:
            ended_by = self._wait(gathering, counts, load_began_s, stopped, on_wait)
        except (EOFError, OSError):
            ended_by = "the receiver's process no longer answers"
        return Received(
            spans=gathering.spans(),
            wanted=len(roots),
            missing=gathering.missing_places(),
            received=counts[RECEIVED],
            rejected=counts[REJECTED],
            dropped=gathering.dropped,
            forwarded=counts[FORWARDED],
            forward_failed=counts[FORWARD_FAILED] + counts[FORWARD_WAITING],
            refused={name: n for name, n in counts.items() if name not in SPAN_COUNTS},
            ended_by=ended_by,
            instead=gathering.instead(),
            problem=self._problem,
        )

    def _wait(
        self,
        gathering: Gathering,
        counts: Counter[str],
        load_began_s: float,
        stopped: Callable[[], bool],
        on_wait: Callable[[Waiting], object],
    ) -> str:
        load_ended_ns = monotonic_ns()
        arrivals_s = self._gather(gathering, counts, on_wait)
        patience = Patience(arrivals_s, load_began_s, monotonic())
        while not stopped() and not patience.is_over(now_s := monotonic()):
            if gathering.is_whole(load_ended_ns) and patience.knows_all(now_s):
                break
            on_wait(Waiting(gathering.missing, patience.left_s(now_s)))
            sleep(_POLL_S)
            before = gathering.missing
            self._gather(gathering, counts, on_wait)
            if gathering.missing < before:
                patience.came(monotonic())
        waited = f"nothing more came within {patience.quiet_s:.0f} s"
        ended_by = "the wait was interrupted" if stopped() else waited
        deadline_s = monotonic() + _FORWARDING_S
        while counts[FORWARD_WAITING] and not stopped() and monotonic() < deadline_s:
            sleep(_POLL_S)
            self._gather(gathering, counts, on_wait)
        return ended_by

    def _gather(
        self,
        gathering: Gathering,
        counts: Counter[str],
        on_wait: Callable[[Waiting], object],
    ) -> list[float]:
        """Fetch everything available; returns when each batch arrived, in s."""
        arrivals_s: list[float] = []
        quiet_until_s = monotonic() + QUIET_S
        while True:
            self._pipe.send(Fetch(gathering.room_bytes))
            if not self._pipe.poll(_ANSWER_S):
                raise EOFError
            fetched: Fetched = self._pipe.recv()
            counts.clear()
            counts.update(fetched.counts)
            self._problem = fetched.problem
            come = fetched.come
            if not len(come.arrivals_ns) and not come.dropped:
                return arrivals_s
            gathering.add(come)
            if monotonic() > quiet_until_s:
                on_wait(Waiting(gathering.missing, 0.0, gathering.held))
            arrivals_s += (come.arrivals_ns / 1e9).tolist()

    def _first_word(self) -> Ready:
        try:
            if self._pipe.poll(_START_S):
                ready: Ready = self._pipe.recv()
                return ready
        except (EOFError, OSError):
            pass
        return Ready(failure="the address: the receiver's process did not start")
