"""What the receiver takes at most: nothing that a peer sends is without a limit."""

from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one receiver."""

    body_bytes: int = 8 * _MIB
    """Of one request, before and after decompression. Exporters send 512 spans at a time, some
    0.2 MB; collectors take 4 MB (gRPC) or 20 MB (HTTP)."""
    underway_bytes: int = 128 * _MIB
    """Of all requests over HTTP that have not come to their end."""
    kept_bytes: int = 256 * _MIB
    """Until they are fetched: some 800,000 spans."""
    kept_spans: int = 4_000_000
    queued_bytes: int = 64 * _MIB
    """Waiting to be forwarded."""
    head_bytes: int = 64 * 1024
    """Of an HTTP request, before its body."""
    connections: int = 512
    """Over HTTP; where more come, those silent for longest are closed."""
    calls: int = 128
    """Over gRPC, under way at once."""
    request_s: float = 20.0
    """From a request's first byte to its last."""
    idle_s: float = 90.0
    """Between two requests on a connection."""
