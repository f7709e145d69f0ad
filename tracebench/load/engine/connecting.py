"""Which connection carries which requests."""

import os
from collections.abc import Sequence
from typing import cast

from tracebench.load.engine.connection import Connection, Owner
from tracebench.load.engine.ledger import Ledger
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.mapped import (
    MappedConnection,
    MappedRequests,
    SharedBodies,
    SharedConnection,
)
from tracebench.load.engine.prepared import Prepared
from tracebench.load.engine.tls import TlsConnection
from tracebench.load.wire.grpc_request import GrpcRequest
from tracebench.load.wire.http1 import Http1Codec, HttpRequest
from tracebench.load.wire.http2 import Http2Codec


class Connecting:
    """Connects to a target, by the fastest way that can carry its requests.

    Args:
        prepared: the target.
        loop: what the connections run on.
        connections: how many there will be at once.
    """

    def __init__(self, prepared: Prepared, loop: Loop, connections: int) -> None:
        self._prepared, self._loop = prepared, loop
        self._bodies: SharedBodies | None = None
        self._is_mapped = False
        is_http1 = isinstance(prepared.repeated[0], HttpRequest)
        if is_http1 and prepared.endpoint.tls is None and hasattr(os, "memfd_create"):
            requests = cast(Sequence[HttpRequest], prepared.repeated)
            self._is_mapped = MappedRequests.possible(requests, connections)
            if not self._is_mapped and SharedBodies.pays(requests):
                self._bodies = SharedBodies(requests)

    def __call__(self, owner: Owner, ledger: Ledger) -> Connection:
        """Begin to connect."""
        endpoint, repeated = self._prepared.endpoint, self._prepared.repeated
        if isinstance(repeated[0], GrpcRequest):
            codec: Http1Codec | Http2Codec = Http2Codec(*cast(Sequence[GrpcRequest], repeated))
        else:
            requests = cast(Sequence[HttpRequest], repeated)
            if self._is_mapped:
                return MappedConnection(self._loop, endpoint, requests, owner, ledger)
            if self._bodies is not None:
                return SharedConnection(self._loop, endpoint, requests, self._bodies, owner, ledger)
            codec = Http1Codec(*requests)
        if endpoint.tls is not None:
            return TlsConnection(self._loop, endpoint, endpoint.tls, codec, owner, ledger)
        return Connection(self._loop, endpoint, codec, owner, ledger)

    def close(self) -> None:
        """Give back what the connections shared; all of them are closed."""
        if self._bodies is not None:
            self._bodies.close()
