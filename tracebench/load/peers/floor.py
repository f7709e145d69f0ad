"""The floor: the same exchange against a server that does nothing, through the same engine."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tracebench.load.engine.endpoint import Endpoint, resolve_unix
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.measuring.measure import measure
from tracebench.load.peers.null_server import HOST, NullProtocol, spawned
from tracebench.load.progress import Watcher
from tracebench.load.wire import grpc_reply, http1
from tracebench.model.errors import TracebenchError
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Workload

LASTS_S: Final = 1.0


def measure_floor(
    prepared: PreparedTarget, load: Workload, lasts_s: float = LASTS_S
) -> Measurement:
    """Measure the null server on loopback, in plaintext, as the target would be measured.

    If the target is a Unix socket, so is the null server. It gets the target's own requests at the
    same concurrency or rate, for `lasts_s`.

    Raises:
        KeyboardInterrupt: the user interrupted it.
        TracebenchError: it cannot be measured.
    """
    kind: NullProtocol = "grpc" if prepared.multiplexed else "rest"
    short = replace(
        load,
        requests=None,
        duration_s=lasts_s,
        until_stable=None,
        ramp_up_s=None,
        hang_up_after=None,
        warmup=0 if load.is_open else 2 * load.concurrency,
    )
    with _null_server(kind, unix=prepared.endpoint.unix_path is not None) as endpoint:
        aimed = replace(
            prepared,
            address=f"the null server at {endpoint.address}",
            endpoint=endpoint,
            read=grpc_reply.read_reply if kind == "grpc" else http1.read_reply,
            learn=None,
        )
        found = measure(aimed, short, Watcher())
    if found.interrupted:
        raise KeyboardInterrupt
    if reason := _fault(found, lasts_s):
        raise TracebenchError(f"the floor could not be measured ({reason}): leave out --floor")
    return found


@contextmanager
def _null_server(kind: NullProtocol, *, unix: bool) -> Iterator[Endpoint]:
    if not unix:
        with spawned(kind) as port:
            yield Endpoint(HOST, port, socket.AF_INET, (HOST, port), tls=None)
        return
    with TemporaryDirectory(prefix="tracebench-") as folder:
        path = str(Path(folder) / "null.sock")
        with spawned(kind, path):
            yield resolve_unix(path)


def _fault(load: Measurement, lasts_s: float) -> str:
    if not len(load.requests):
        return f"nothing is due in the first {lasts_s:g} s"
    return load.gave_up or next(iter(load.requests.reasons[1:]), "")
