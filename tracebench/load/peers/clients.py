"""Client libraries that can be compared with the engine, and the jobs they are given."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from time import perf_counter_ns
from typing import NamedTuple, cast

from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.peers import module_of
from tracebench.load.wire.http1 import HttpRequest
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan, Protocol

# A library's job, and its results.


@dataclass(frozen=True, slots=True)
class Job:
    """One block: a number of requests, or a duration, in a closed loop."""

    prepared: PreparedTarget
    slots: int
    """How many requests may be in flight at once."""
    warmup: ClosedLoop
    """Sent first over the same connections, and not counted."""
    bounds: ClosedLoop


class Sample(NamedTuple):
    """One call of the library, timed from outside as its user would."""

    began_ns: int
    ended_ns: int
    reason: str
    """Why it failed; empty for a success."""


class TurnLimit:
    """Limits the requests that several workers start together."""

    def __init__(self, bounds: ClosedLoop) -> None:
        self._tickets = count()
        self._most = bounds.requests
        self._until_ns = perf_counter_ns() + bounds.duration_ns
        self._closed = threading.Event()

    def admits(self) -> bool:
        """Whether another request may start; if so, it counts as started."""
        in_time = perf_counter_ns() < self._until_ns and not self._closed.is_set()
        return in_time and next(self._tickets) < self._most  # atomic in CPython

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Once the block ends, for whatever reason, no request may start."""
        try:
            yield
        finally:
            self._closed.set()


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One request in the form that HTTP libraries take."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


def http_calls(prepared: PreparedTarget) -> Sequence[HttpCall]:
    """The requests of a REST target, without what each library adds itself."""
    origin = _origin(prepared.endpoint)
    requests = cast(Sequence[HttpRequest], prepared.repeated)
    return [_http_call(origin, one.head, one.body) for one in requests]


def _origin(endpoint: Endpoint) -> str:
    """`scheme://host:port`, without a default port; a Unix socket has none."""
    scheme, usual = ("https", 443) if endpoint.tls is not None else ("http", 80)
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{scheme}://{host}" + (f":{endpoint.port}" if endpoint.port not in (0, usual) else "")


def _http_call(origin: str, head: bytes, body: bytes) -> HttpCall:
    first, *lines = head.decode("latin-1").split("\r\n")[:-1]  # the last one is traceparent's
    method, path, _ = first.split(" ")
    headers = _joined(line.partition(": ") for line in lines)
    headers.pop("Content-Length", None)
    if origin.endswith(f"//{headers.get('Host')}"):
        del headers["Host"]
    return HttpCall(method, origin + path, headers, body)


def _joined(fields: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Headers by name; repeated ones are joined into one line (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for name, _, value in fields:
        between = "; " if name.lower() == "cookie" else ", "
        headers[name] = f"{headers[name]}{between}{value}" if name in headers else value
    return headers


# The libraries that can be compared with the engine.

Send = Callable[[Job], list[Sample]]


def load_libraries(plan: Plan) -> dict[Protocol, dict[str, Send]]:
    """The libraries that a plan requests, by protocol.

    Raises:
        UsageError: one is not installed, or cannot do what the plan asks for.
    """
    found: dict[Protocol, dict[str, Send]] = {"rest": {}, "grpc": {}}
    for name in plan.influence.clients:
        try:
            library = import_module(module_of(name))
        except ImportError as error:
            raise UsageError(f"--client {name} needs {error.name}: pip install {name}") from None
        _check(name, library.TARGET, plan)
        found[library.TARGET][name] = library.send
    return found


def _check(name: str, target: str, plan: Plan) -> None:
    if plan.influence.observer_effect:
        raise UsageError(
            f"--client {name} and --observer-effect exclude each other: use them in separate runs"
        )
    if plan.load.is_open:
        raise UsageError(f"--client {name} runs a closed loop: leave out --rate and --arrivals")
    addresses = [one.address for one in plan.targets.all if one.protocol == target]
    if not addresses:
        option = "--rest-url" if target == "rest" else "--grpc-server"
        raise UsageError(f"--client {name} needs a target: give {option} too")
    if plan.tls.insecure and any(one.startswith("grpcs://") for one in addresses):
        raise UsageError(f"--client {name} does not support --insecure: give --cacert instead")
