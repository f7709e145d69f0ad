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

STREAM_TIMING_HEADER: Final = "X-Stream-Timing"
"""When parts of a streamed reply were handed to the server: JSON, as
`{"chunks": [[120, 0.050123456], [240, 0.060234567]], "last": 0.680, "waited": 0.002}`. Of the first
eight chunks, how much of the body was handed over with it and those before (bytes; over gRPC
messages), and when, in seconds since the request began; when the last was; and for how long in all
the app stood still because the reader was slow. Over gRPC it is trailing metadata. Over HTTP it
comes, like `TIMING_HEADER` and `SERVER_TIMING_HEADER` of a reply that streams, in comments behind
the last server-sent event: `: X-Stream-Timing: {...}`, a line each, and a blank one."""
STREAM_CHUNKS: Final = 8
"""So many chunks have stamps of their own; the first token comes in one of them."""
CHUNK_EVENT: Final = "tracebench.chunk"
"""Event of a server span: one of those chunks was handed over."""
LAST_CHUNK_EVENT: Final = "tracebench.last_chunk"
"""Event of a server span: the last one was."""
CHUNK_ATTRIBUTE: Final = "tracebench.chunk."
"""Followed by `bytes` or `messages`: an attribute of both events, how much of the body was handed
over with this chunk and those before."""
STREAM_WAITED_ATTRIBUTE: Final = "tracebench.stream.waited_ms"
"""An attribute of the last one's event: for how long the app stood still in all."""
PREFILL: Final = "prefill"
DECODE: Final = "decode"
"""Parts of `inference` where a language model answers: until its first token, and from there on."""
INFERENCE_PARTS: Final = (PREFILL, DECODE)
KNOWN_PARTS: Final = (*SERVER_PARTS, *INFERENCE_PARTS)
"""The parts that have a meaning of their own; any other name is its author's."""

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
