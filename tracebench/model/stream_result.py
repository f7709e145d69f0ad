"""What streamed replies tell: first tokens, gaps, counts, turns and goodput."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tracebench.model.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Tokens:
    """How many tokens the streams had, in all; None: nobody tells."""

    input: int | None
    output: int | None
    reasoning: int | None
    cached: int | None
    source: Literal["none", "events", "ids", "usage"]
    """Who counted those of the output, in the worst case: nobody, we the events that carry some,
    or the server, by their ids or in a usage."""
    asked_input: int | None = None
    asked_output: int | None = None
    """How many were asked for; None where it is not known of each request."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Gaps between tokens by their position: from `position[i]` on, until the next one."""

    position: tuple[int, ...]
    """The first token is 0; a gap stands where the token behind it does."""
    p50_ms: tuple[float, ...]
    p95_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests that meet every limit."""

    share: float
    """Of all that ended."""
    rps: float
    limits: Mapping[str, float]
    """Metric → ms."""
    ci95: tuple[float, float] | None = None
    """Of the share; None in a file that is older."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The requests of one turn of conversations."""

    turn: int
    """From 1 on."""
    count: int
    input_tokens: float | None
    """Of one request, as the server counts (mean); None: it does not."""
    cached_tokens: float | None
    """The same of those that came from its cache."""
    output_tokens: float | None
    ttft: Statistics | None
    tpot: Statistics | None


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What streamed replies tell, besides what is told of any. docs/streams.md defines it."""

    count: int
    """Successes whose replies streamed and had a token."""
    without_tokens: int
    ttft: Statistics | None
    ttft_service: Statistics | None
    first_text: Statistics | None
    itl: Statistics | None
    """Of gaps, pooled; its intervals resample requests."""
    tpot: Statistics | None
    generation: Statistics | None
    ending: Statistics | None
    parts: Mapping[str, Mapping[str, Statistics]]
    """`ttft` and `generation`, each → what it is the sum of, for each request."""
    tokens: Tokens
    output_tokens_per_s: float | None
    """Over the steady part of the run: while as many requests were under way as there may be."""
    events_per_token: float | None
    stamps: Mapping[str, int]
    """Of events with tokens: `exact`, or `shared` with what came later in the same read."""
    shared_gaps: float
    """The share of gaps that lie within one read, of which only the sum is known."""
    gaps: Gaps | None
    one_token: int
    """Streams with one output token, or all in one read: they have no `tpot`."""
    goodput: Goodput | None = None
    """None where no limits were given."""
    first_token_splits: Mapping[str, int] = field(default_factory=dict)
    """Of how many the server's own time to the first token tells `network_first` `apart`; in how
    many its times were `scaled`, because they exceeded what there was by as little as clocks of two
    processes may; and of how many they were `left_out`, because they did by more."""
    waited: Statistics | None = None
    """How long servers stood still because the reader was slow, where they did."""
    turns: tuple[Turn, ...] = ()
    """Of conversations, the first turn first; empty where there were none."""
