"""Names of the client root span's attributes and events: what is written here is read again.

HTTP names are the stable semantic conventions of OpenTelemetry; the RPC names are those that its
release candidate gives (`rpc.system.name`, a fully qualified `rpc.method`).
"""

from typing import Final

SERVICE: Final = "tracebench"
"""The `service.name` of whoever makes root spans."""

RUN_ID: Final = "tracebench.run.id"
RUN_FACTS: Final = "tracebench.run.facts"
"""Of the resource: see run_facts.py."""
PROTOCOL: Final = "tracebench.protocol"
CONCURRENCY: Final = "tracebench.concurrency"
OUTCOME: Final = "tracebench.outcome"
"""Only our root spans have it: it is what they are known by."""
STAMP: Final = "tracebench.stamp"
CONNECT_NS: Final = "tracebench.connect_ns"
WRITE_LAG_NS: Final = "tracebench.write_lag_ns"
SLOT: Final = "tracebench.slot"
LOST: Final = "tracebench.lost"
"""The value of a `Lost`, where the request was sent again."""

MIRROR_NS: Final = "tracebench.mirror_ns."
"""Followed by a component's name, which may be the author's own; the mirror's total is that of
`server_processing`."""
MIRROR_SCALED: Final = "tracebench.mirror.scaled"
MIRROR_LEFT_OUT: Final = "tracebench.mirror.left_out"
"""Names of entries that did not fit, with commas between them."""
MIRROR_CAME_WITH: Final = "tracebench.mirror.came_with"
"""A `CameWith`; before there was this, timings over HTTP came with the head."""
MIRROR_UNLISTED: Final = "tracebench.mirror.unlisted"
MIRROR_STRAYS: Final = "tracebench.mirror.components_outside_requests"
MIRROR_STREAM: Final = "tracebench.mirror.stream"
"""A `StreamTiming` as JSON: its chunks, the time to the first token, and how long it waited."""
MIRROR_PROBLEM: Final = "tracebench.mirror.problem"
"""The name of an `Undecomposed`."""

READY: Final = "ready"
SENT: Final = "sent"
FIRST_BYTE: Final = "first_byte"
ARRIVED: Final = "arrived"
DONE: Final = "done"
"""The end of the span as well: here it stands among the others for who looks at the trace."""

RPC_SYSTEM: Final = "rpc.system.name"
RPC_METHOD: Final = "rpc.method"
RPC_STATUS: Final = "rpc.response.status_code"
