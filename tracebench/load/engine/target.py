"""A target made ready: exchanges that the engine can repeat, and their untraced twins."""

import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice, repeat
from random import Random
from typing import Final

from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.recording.replies import Learn
from tracebench.load.streams.reading import NO_STREAMS, Streaming
from tracebench.load.wire.codec import Codec, RawReply, Request
from tracebench.model.errors import UsageError
from tracebench.model.exchange import Reply
from tracebench.model.plan import Order, Streamed, Tls
from tracebench.system.redaction import NO_SECRETS, Secrets
from tracebench.tracing.roots.target_attributes import TargetAttributes

# A target made ready: an exchange that the engine can repeat, and that was seen to work once.

_DRAWN = 2**16
_SAMPLE_BYTES, _FEWEST_BYTES = 2**20, 4_096
MOST_TRIED = 32
"""So many different requests are tried before the run; the others are like them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One target, ready to be measured."""

    described: TargetAttributes
    address: str
    """As the user wrote it, or would have; without credentials."""
    endpoint: Endpoint
    repeated: Sequence[Request]
    """The target's requests, among which each slot names its own."""
    codec: type[Codec]
    """Speaks their protocol."""
    read: Callable[[RawReply], tuple[Reply, str]]
    """Reads a kept reply; the second part says why it is no success, empty for one."""
    request: str
    """What is sent, for a person to read: the head without credentials, and the body's size."""
    timeout_s: float
    """How long to wait for a connection, and for each reply."""
    trust: Tls
    """What `endpoint.tls` was made of, for libraries that make their own."""
    learn: Learn | None = None
    """Finds the forms of replies; None: each is needed whole."""
    answer: str = ""
    """The start of what the server answered to the preflight."""
    variants: Iterator[int] | None = None
    """Which of several requests each exchange sends, without end; None: there is but one."""
    secrets: Secrets = NO_SECRETS
    """What must not be shown, whoever repeats it."""
    untraced_from: int = sys.maxsize
    """Requests from this place on ask for no tracing."""
    streaming: Streaming = NO_STREAMS
    """How replies stream, where they do."""
    streams: bool = False
    """The preflight's reply did."""

    @property
    def multiplexed(self) -> bool:
        """Whether slots may share a connection."""
        return self.codec.multiplexed

    def sizes(self) -> list[int]:
        """Of the bodies or messages that are sent, in bytes."""
        return [len(one.body) for one in self._asking()]

    def compressed_share(self) -> float | None:
        """To what share of its size deflate shrinks what is sent, as its first MiB tells.

        None where there is too little to tell.
        """
        bodies = (one.body for one in self._asking()[:MOST_TRIED])
        sample = b"".join(bodies)[:_SAMPLE_BYTES]
        if len(sample) < _FEWEST_BYTES:
            return None
        return len(zlib.compress(sample, 1)) / len(sample)

    def _asking(self) -> Sequence[Request]:
        """Those that ask for tracing."""
        return self.repeated[: self.untraced_from]


def streaming(plan: Streamed) -> Streaming:
    """How replies are read, should they stream.

    Raises:
        UsageError: --token-path is no path.
    """
    path = tuple(_STEPS.findall(plan.token_path or ""))
    if plan.token_path is not None and not path:
        raise UsageError(
            f"--token-path {plan.token_path!r} is no path: write it as 'result.parts[0].text'"
        )
    whole_s = plan.stream_timeout_s
    return Streaming(path, sys.maxsize if whole_s is None else int(whole_s * 1e9))


_STEPS: Final = re.compile(r"[^.\[\]\s]+")


def variants(order: Order, seed: int, count: int) -> Iterator[int] | None:
    """Which of so many requests to send next, without end; None: there is but one.

    What is drawn at random is drawn before the run, and comes again after a while.
    """
    if count == 1:
        return None
    if order == "rotate":
        return cycle(range(count))
    drawn = Random(seed).choices(range(count), k=max(_DRAWN, 16 * count))
    return cycle(drawn)


# Twins: each request again, without asking for tracing; which is sent is drawn at random.

_DRAWN_TWINS: Final = 2**16


def with_untraced(prepared: Prepared, twins: Sequence[Request], seed: int) -> Prepared:
    """Let each exchange send a request or its twin, as drawn at random.

    It is drawn before the run, and comes again after a while.

    Args:
        prepared: asks for tracing in all its requests.
        twins: of each of them, of the same type.
        seed: of the draw.
    """
    count = len(prepared.repeated)
    bits = Random(f"twins {seed}").choices((0, count), k=_DRAWN_TWINS)
    which = islice(prepared.variants or repeat(0), _DRAWN_TWINS)
    return replace(
        prepared,
        repeated=[*prepared.repeated, *twins],
        variants=cycle([place + bit for place, bit in zip(which, bits, strict=True)]),
        untraced_from=count,
    )
