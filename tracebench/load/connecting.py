"""Which connection carries which requests."""

from collections.abc import Sequence
from typing import cast

from tracebench.load.connection import Connection, Owner
from tracebench.load.grpc_request import GrpcRequest
from tracebench.load.http1 import Http1Codec, HttpRequest
from tracebench.load.http2 import Http2Codec
from tracebench.load.ledger import Ledger
from tracebench.load.loop import Loop
from tracebench.load.mapped import MappedConnection, MappedRequests
from tracebench.load.prepared import Prepared
from tracebench.load.tls import TlsConnection


def connect(prepared: Prepared, loop: Loop, owner: Owner, ledger: Ledger) -> Connection:
    """Begin to connect to a target, by the fastest way that can carry its requests."""
    endpoint = prepared.endpoint
    codec: Http1Codec | Http2Codec
    if isinstance(prepared.repeated[0], GrpcRequest):
        codec = Http2Codec(*cast(Sequence[GrpcRequest], prepared.repeated))
    else:
        requests = cast(Sequence[HttpRequest], prepared.repeated)
        if endpoint.tls is None and MappedRequests.possible(requests):
            return MappedConnection(loop, endpoint, requests, owner, ledger)
        codec = Http1Codec(*requests)
    if endpoint.tls is not None:
        return TlsConnection(loop, endpoint, endpoint.tls, codec, owner, ledger)
    return Connection(loop, endpoint, codec, owner, ledger)
