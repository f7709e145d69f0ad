"""Names of the client root span's attributes and events, which are written and read back.

HTTP names follow OpenTelemetry's stable semantic conventions; RPC names follow their release
candidate (`rpc.system.name`, a fully qualified `rpc.method`).
"""

from typing import Final

SERVICE: Final = "tracebench"
"""The `service.name` of root spans."""

RUN_ID: Final = "tracebench.run.id"
RUN_FACTS: Final = "tracebench.run.facts"
"""On the resource: see run_facts.py."""
PROTOCOL: Final = "tracebench.protocol"
TARGET: Final = "tracebench.target"
"""What the run called it; in older archives without it, its protocol did."""
CONCURRENCY: Final = "tracebench.concurrency"
OUTCOME: Final = "tracebench.outcome"
"""Only our root spans have it: they are recognised by it."""
REASON: Final = "tracebench.reason"
"""Why a request that did not fail did not end by itself; failures have it in their status."""
STAMP: Final = "tracebench.stamp"
CONNECT_NS: Final = "tracebench.connect_ns"
WRITE_LAG_NS: Final = "tracebench.write_lag_ns"
SLOT: Final = "tracebench.slot"
LOST: Final = "tracebench.lost"
"""The value of a `Lost`, if the request was resent."""

MIRROR_NS: Final = "tracebench.mirror_ns."
"""Followed by a component's name, standard or custom; the mirror's total is under
`server_processing`."""
MIRROR_SCALED: Final = "tracebench.mirror.scaled"
MIRROR_LEFT_OUT: Final = "tracebench.mirror.left_out"
"""Comma-separated names of entries that did not fit."""
MIRROR_CAME_WITH: Final = "tracebench.mirror.came_with"
"""A `CameWith`; in older archives without it, timings over HTTP came with the head."""
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
"""Same as the end of the span; repeated as an event for people who look at the trace."""

RPC_SYSTEM: Final = "rpc.system.name"
RPC_METHOD: Final = "rpc.method"
RPC_STATUS: Final = "rpc.response.status_code"
