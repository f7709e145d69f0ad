"""What to measure, and how."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Payload:
    """What each request carries."""

    content: bytes
    content_type: str
    name: str
    form: Literal["image", "data", "json"]
    """Over REST a multipart field, the body as it is, or a JSON body; over gRPC `image_data` for
    the first two, and the message's JSON mapping for the last."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and how."""

    payload: Payload
    rest_url: str | None = None
    grpc_server: str | None = None
    method: str = "POST"
    field: str = "image"
    headers: tuple[tuple[str, str], ...] = ()
    cacert: str | None = None
    insecure: bool = False
    requests: int | None = 100
    """How many requests to measure for each target; None: as many as fit in `duration_s`."""
    duration_s: float | None = None
    concurrency: int = 1
    warmup: int = 0
    timeout_s: float = 30.0
    connections: int | None = None
    """HTTP/2 connections that the slots share; None: one a slot, where every stamp is exact."""
    otlp_endpoint: str | None = None
    output_traces: str | None = None
