"""Names that servers write on the wire and tracebench reads: components, headers, attributes."""

from typing import Final

SERVER_PROCESSING: Final = "server_processing"

QUEUE: Final = "queue"
PREPROCESSING: Final = "preprocessing"
INFERENCE: Final = "inference"
POSTPROCESSING: Final = "postprocessing"
SERVER_OTHER: Final = "server_other"

REPORTED_PARTS: Final = (QUEUE, PREPROCESSING, INFERENCE, POSTPROCESSING)
"""The parts that a server may report; the rest of its time is `server_other`."""

SERVER_PARTS: Final = (*REPORTED_PARTS, SERVER_OTHER)
"""The parts that add up to `server_processing`."""

TRACEPARENT: Final = "traceparent"
BENCHMARK_HEADER: Final = "X-Benchmark"
TIMING_HEADER: Final = "X-Timing-Info"
SERVER_TIMING_HEADER: Final = "Server-Timing"

STREAM_TIMING_HEADER: Final = "X-Stream-Timing"
"""When parts of a streamed reply were handed to the server: JSON, e.g.
`{"chunks": [[120, 0.050123456], [240, 0.060234567]], "last": 0.680, "waited": 0.002}`. For each of
the first eight chunks: how much of the body had been handed over by then (bytes; over gRPC,
messages), and when, in seconds since the request began; when the last chunk was handed over; and
the total time that the app was blocked because the reader was slow. Over gRPC it is trailing
metadata. Over HTTP it is sent, like the `TIMING_HEADER` and `SERVER_TIMING_HEADER` of a streaming
reply, in comments after the last server-sent event: `: X-Stream-Timing: {...}`, one line each,
followed by a blank line."""
STREAM_CHUNKS: Final = 8
"""How many chunks are stamped individually; the first token comes in one of them."""
CHUNK_EVENT: Final = "tracebench.chunk"
"""Event of a server span: one of those chunks was handed over."""
LAST_CHUNK_EVENT: Final = "tracebench.last_chunk"
"""Event of a server span: the last chunk was handed over."""
CHUNK_ATTRIBUTE: Final = "tracebench.chunk."
"""Followed by `bytes` or `messages`: attribute of both events, how much of the body had been handed
over, including this chunk."""
STREAM_WAITED_ATTRIBUTE: Final = "tracebench.stream.waited_ms"
"""Attribute of the last chunk's event: the total time that the app was blocked, in ms."""
PREFILL: Final = "prefill"
DECODE: Final = "decode"
"""Parts of a language model's `inference`: until its first token, and from then on."""
INFERENCE_PARTS: Final = (PREFILL, DECODE)
KNOWN_PARTS: Final = (*SERVER_PARTS, *INFERENCE_PARTS)
"""The parts with a defined meaning; any other name is custom."""

COMPONENT_ATTRIBUTE: Final = "tracebench.component"
"""Span attribute: the component that a server span's own time belongs to."""
PART_NS: Final = "tracebench.part_ns."
"""Followed by a component's name: attribute of a server span, how many ns of its own time belong to
that component, which has no span."""

MOST_OWN_NAMES: Final = 32
"""How many custom-named components are shown; the rest are counted."""
LONGEST_NAME: Final = 64
"""Characters in a component's name."""

OUTSIDE: Final = "components_outside_requests"
"""A count in the mirror, as a `desc` in `Server-Timing`: components that ran outside any request's
context while the request was in progress."""
UNLISTED: Final = "components_unlisted"
"""Like `OUTSIDE`: components that the mirror has no room for."""
OUTSIDE_ATTRIBUTE: Final = "tracebench.components_outside_requests"
"""`OUTSIDE`, as an attribute of the server's span."""
