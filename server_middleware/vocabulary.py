"""Names that servers write on the wire and tracebench reads: components, headers, attributes."""

from typing import Final

SERVER_PROCESSING: Final = "server_processing"

QUEUE: Final = "queue"
PREPROCESSING: Final = "preprocessing"
INFERENCE: Final = "inference"
POSTPROCESSING: Final = "postprocessing"
SERVER_OTHER: Final = "server_other"

REPORTED_PARTS: Final = (QUEUE, PREPROCESSING, INFERENCE, POSTPROCESSING)
"""What a server may report; the rest of its time is `server_other`."""

SERVER_PARTS: Final = (*REPORTED_PARTS, SERVER_OTHER)
"""What `server_processing` is the sum of."""

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
