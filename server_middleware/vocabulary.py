"""Names that must be spelled the same everywhere: components, stamps, headers, attributes.

The words are design terms (see docs/design.md); scripts read them in the result file, servers
write them on the wire.
"""

from typing import Final

END_TO_END: Final = "end_to_end"
BACKLOG: Final = "backlog"
CONNECT: Final = "connect"
CLIENT: Final = "client"
NETWORK: Final = "network"
BODY: Final = "body"
SERVER_PROCESSING: Final = "server_processing"
SERVER_AND_NETWORK: Final = "server_and_network"
SERVICE_TIME: Final = "service_time"

QUEUE: Final = "queue"
PREPROCESSING: Final = "preprocessing"
INFERENCE: Final = "inference"
POSTPROCESSING: Final = "postprocessing"
SERVER_OTHER: Final = "server_other"

REPORTED_PARTS: Final = (QUEUE, PREPROCESSING, INFERENCE, POSTPROCESSING)
"""What a server may report; the rest of its time is `server_other`."""

SERVER_PARTS: Final = (*REPORTED_PARTS, SERVER_OTHER)
"""What `server_processing` is the sum of."""

CLIENT_PARTS: Final = (BACKLOG, CONNECT, CLIENT, NETWORK, BODY, SERVER_PROCESSING)
"""What `end_to_end` is the sum of, for a decomposed request."""

LEAVES: Final = (BACKLOG, CONNECT, CLIENT, NETWORK, BODY, *SERVER_PARTS)
"""The components that are split no further, in the order of a request's life; they sum to it."""

COMPONENTS: Final = frozenset(
    {*LEAVES, END_TO_END, SERVICE_TIME, SERVER_PROCESSING, SERVER_AND_NETWORK}
)
"""Every name of a component that is tracebench's; any other is the author's own."""

TRACEPARENT: Final = "traceparent"
BENCHMARK_HEADER: Final = "X-Benchmark"
TIMING_HEADER: Final = "X-Timing-Info"
SERVER_TIMING_HEADER: Final = "Server-Timing"

COMPONENT_ATTRIBUTE: Final = "tracebench.component"
"""Span attribute that says which component a server span's own time belongs to."""
PART_NS: Final = "tracebench.part_ns."
"""Followed by a component's name: a server span's attribute that tells how many ns of its own time
belong to that component, which has no span."""

MOST_OWN_NAMES: Final = 32
"""So many components by names of the author's own are shown; what is beyond is counted."""
LONGEST_NAME: Final = 64
"""Characters of a component's name."""

OUTSIDE: Final = "components_outside_requests"
"""What a mirror counts beside times, as a `desc` in `Server-Timing`: components that ran where no
request's context reached, while the request was under way."""
UNLISTED: Final = "components_unlisted"
"""As `OUTSIDE`: components that a mirror has no room for."""
OUTSIDE_ATTRIBUTE: Final = "tracebench.components_outside_requests"
"""`OUTSIDE`, as an attribute of the server's span."""
