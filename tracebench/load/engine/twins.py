"""Twins: each request again, without asking for tracing; which is sent is drawn at random."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice, repeat
from random import Random
from typing import Any, Final

from server_middleware.vocabulary import BENCHMARK_HEADER
from tracebench.load.engine.prepared import Prepared
from tracebench.load.wire.http1 import HttpRequest

_DRAWN: Final = 2**16
_ASKS: Final = f"\r\n{BENCHMARK_HEADER}: 1".encode()


def untraced_http(request: HttpRequest) -> HttpRequest:
    """The twin of a REST request: not sampled, and without `X-Benchmark`."""
    head = request.head.replace(_ASKS, b"", 1)
    return HttpRequest(head, b"-00" + request.tail[len(b"-01") :], request.body)


def with_twins(prepared: Prepared, twins: Sequence[Any], seed: int) -> Prepared:
    """Let each exchange send a request or its twin, as drawn at random.

    It is drawn before the run, and comes again after a while.

    Args:
        prepared: asks for tracing in all its requests.
        twins: of each of them, of the same type.
        seed: of the draw.
    """
    count = len(prepared.repeated)
    bits = Random(f"twins {seed}").choices((0, count), k=_DRAWN)
    which = islice(prepared.variants or repeat(0), _DRAWN)
    return replace(
        prepared,
        repeated=[*prepared.repeated, *twins],
        variants=cycle([place + bit for place, bit in zip(which, bits, strict=True)]),
        untraced_from=count,
    )
