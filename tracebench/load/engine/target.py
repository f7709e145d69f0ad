"""A prepared target: exchanges that the engine can repeat, and untraced copies of them."""

import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from math import log, log1p
from operator import add
from random import Random
from typing import Any, Final, Protocol

from tracebench.load.engine.conversations import Talks
from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.recording.replies import Learn
from tracebench.load.streams.reading import NO_STREAMS, Streaming
from tracebench.load.wire.codec import Codec, RawReply, Request
from tracebench.model.errors import UsageError
from tracebench.model.language import Agreement
from tracebench.model.plan import Order, Streamed, Tls
from tracebench.model.record.exchange import Reply
from tracebench.model.shards import Endless, Shard
from tracebench.system.redaction import NO_SECRETS, Secrets
from tracebench.tracing.roots.target_attributes import TargetAttributes

# A prepared target: exchanges that the engine can repeat, and that have worked once.

_DRAWN = 2**16
_SAMPLE_BYTES, _FEWEST_BYTES = 2**20, 4_096
MOST_TRIED = 32
"""How many different requests are tried before the run; the others are assumed alike."""


class Variants(Iterator[int], Protocol):
    """Which of a target's requests each exchange sends, endlessly."""

    @property
    def next(self) -> Callable[[], int]:
        """Returns the index of the next request; called for each."""

    def dealt(self, shard: Shard) -> "Variants":
        """Those that a shard of the load sends."""


@dataclass(frozen=True, slots=True)
class PreparedTarget:
    """One target, ready to be measured."""

    described: TargetAttributes
    address: str
    """The target's address as the user wrote it, or would have, without credentials."""
    endpoint: Endpoint
    repeated: Sequence[Request]
    """The target's requests, indexed by `Slot.variant`."""
    codec: type[Codec]
    """Implements their protocol."""
    read: Callable[[RawReply], tuple[Reply, str]]
    """Reads a kept reply; the second part is the reason for its failure, empty on success."""
    request: str
    """A human-readable request: the head without credentials, and the size of the body."""
    timeout_s: float
    """How long to wait for a connection, and for each reply."""
    trust: Tls
    """What `endpoint.tls` was made from, for libraries that make their own context."""
    learn: Learn | None = None
    """Learns the patterns of replies; None: each must be kept whole."""
    answer: str = ""
    """The start of the server's reply to the preflight."""
    variants: "Variants | None" = None
    """Which of several requests each exchange sends, endlessly; None: there is only one."""
    secrets: Secrets = NO_SECRETS
    """What must not be shown, even if another message quotes it."""
    untraced_from: int = sys.maxsize
    """Requests from this index on do not ask for tracing."""
    unsampled_from: int = 0
    """Requests from this index on are copies of the first ones with a `traceparent` that is not
    sampled; 0: there are none. They ask for timings in the reply like the others."""
    streaming: Streaming = NO_STREAMS
    """How to read replies that stream."""
    streams: bool = False
    """Whether the preflight's reply streamed."""
    talks: Talks | None = None
    """The conversations of the slots; None: each request stands for itself."""
    agreement: Agreement | None = None
    """What was settled with a language model's server; None for any other."""

    @property
    def multiplexed(self) -> bool:
        """Whether slots may share a connection."""
        return self.codec.multiplexed

    def sizes(self) -> list[int]:
        """Sizes of the bodies or messages sent, in bytes."""
        return [len(one.body) for one in self._asking()]

    def compressed_share(self) -> float | None:
        """Compressed size (deflate) as a fraction of the original, for the first MiB sent.

        None if there is too little to judge.
        """
        bodies = (one.body for one in self._asking()[:MOST_TRIED])
        sample = b"".join(bodies)[:_SAMPLE_BYTES]
        if len(sample) < _FEWEST_BYTES:
            return None
        return len(zlib.compress(sample, 1)) / len(sample)

    def dealt(self, shard: Shard) -> "PreparedTarget":
        """The same target for one shard of the load, which sends its own part of the payloads."""
        if self.talks is not None:
            talks = self.talks.dealt(shard)
            return replace(self, talks=talks, repeated=talks.requests())
        return self if self.variants is None else replace(self, variants=self.variants.dealt(shard))

    def _asking(self) -> Sequence[Request]:
        """The requests that ask for tracing."""
        return self.repeated[: self.unsampled_from or self.untraced_from]


def streaming(plan: Streamed) -> Streaming:
    """How to read replies, should they stream.

    Raises:
        UsageError: --token-path is not a valid path.
    """
    path = tuple(_STEPS.findall(plan.token_path or ""))
    if plan.token_path is not None and not path:
        raise UsageError(
            f"--token-path {plan.token_path!r} is not a path: write e.g. 'result.parts[0].text'"
        )
    whole_s = plan.stream_timeout_s
    return Streaming(path, sys.maxsize if whole_s is None else int(whole_s * 1e9))


_STEPS: Final = re.compile(r"[^.\[\]\s]+")


def variants(order: Order, seed: int, count: int, before: int = 0) -> Endless[int] | None:
    """Which of `count` requests to send next, endlessly; None: there is only one.

    Random choices are drawn before the run, and repeat eventually.

    Args:
        order: of the requests.
        seed: of random choices.
        count: how many requests there are.
        before: so many are sent in rotation before the run, which shall begin with the first.
    """
    if count == 1:
        return None
    if order == "rotate":
        return Endless(range(count), -before)
    return Endless(Random(seed).choices(range(count), k=max(_DRAWN, 16 * count)))


# Untraced copies: each request again, without asking for tracing; which one is sent is random.

_DRAWN_TWINS: Final = 2**16


def with_untraced(prepared: PreparedTarget, twins: Sequence[Request], seed: int) -> PreparedTarget:
    """Let each exchange send a request or its untraced copy, at random.

    The choices are drawn before the run, and repeat eventually.

    Args:
        prepared: asks for tracing in all its requests.
        twins: the untraced copy of each of them, of the same type.
        seed: the seed of the random choices.
    """
    count = len(prepared.repeated)
    bits = Random(f"twins {seed}").choices((0, count), k=_DRAWN_TWINS)
    which = islice(prepared.variants or repeat(0), _DRAWN_TWINS)
    return replace(
        prepared,
        repeated=[*prepared.repeated, *twins],
        variants=Endless([place + bit for place, bit in zip(which, bits, strict=True)]),
        untraced_from=count,
    )


# Unsampled copies: each request again, with a `traceparent` that asks for no trace.


def with_unsampled(
    prepared: PreparedTarget, twins: Sequence[Request], share: float, seed: int
) -> PreparedTarget:
    """Let a share of the exchanges, drawn at random one by one, ask for their trace.

    The gaps between those are drawn from the geometric distribution, so the choice follows no
    period, and costs nothing for the requests in between.

    Args:
        prepared: asks for traces in all its requests.
        twins: the unsampled copy of each of them, of the same type.
        share: the share that asks, above 0 and below 1.
        seed: the seed of the random choices.
    """
    count = len(prepared.repeated)
    return replace(
        prepared,
        repeated=[*prepared.repeated, *twins],
        variants=_Sampled(prepared.variants, count, share, f"traced {seed}"),
        unsampled_from=count,
    )


class _Sampled:
    """Variants of which only a share asks for traces; see `Variants`.

    Args:
        among: which request each exchange sends; None: there is only one.
        count: the index of a request's unsampled copy is larger by this.
        share: the share that asks.
        seed: of the choice; each shard draws its own.
    """

    def __init__(self, among: "Variants | None", count: int, share: float, seed: str) -> None:
        self._given = among, count, share, seed
        gaps = _gaps(share, Random(seed))
        untraced = chain.from_iterable(chain(repeat(count, gap), (0,)) for gap in gaps)
        each = repeat(0) if among is None else iter(among.next, None)  # no Python frame a request
        self.next: Callable[[], int] = map(add, each, untraced).__next__

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        return self.next()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy in another process begins anew."""
        return _Sampled, self._given

    def dealt(self, shard: Shard) -> "_Sampled":
        among, count, share, seed = self._given
        own = among.dealt(shard) if among is not None else None
        return _Sampled(own, count, share, f"{seed}, {shard.number}")


def _gaps(share: float, random: Random) -> Iterator[int]:
    """How many requests in a row are not chosen before each that is (inverse transform)."""
    while True:
        yield int(log(1.0 - random.random()) / log1p(-share))
