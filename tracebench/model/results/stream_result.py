"""Results for streamed replies: first tokens, gaps, counts, turns and goodput."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tracebench.model.results.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Tokens:
    """Total tokens of all streams; a count is None if it is unknown."""

    input: int | None
    output: int | None
    reasoning: int | None
    cached: int | None
    source: Literal["none", "events", "ids", "usage"]
    """The least reliable source of any output count: `none`; `events` (events with tokens, counted
    by the tool); `ids` or `usage` (sent by the server)."""
    asked_input: int | None = None
    asked_output: int | None = None
    """Total tokens requested (input, output); None unless known for every request."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Gaps between tokens by position: entry i covers `position[i]` up to the next position."""

    position: tuple[int, ...]
    """Token number; the first token is 0, and a gap has the number of the token that ends it."""
    p50_ms: tuple[float, ...]
    p95_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests that meet every limit."""

    share: float
    """Fraction of all requests that ended."""
    rps: float
    limits: Mapping[str, float]
    """Metric → upper limit in ms."""
    ci95: tuple[float, float] | None = None
    """95 % interval of the share; None in older files."""


@dataclass(frozen=True, slots=True)
class Turn:
    """All requests that are the same turn of a conversation."""

    turn: int
    """Number of the turn, starting at 1."""
    count: int
    input_tokens: float | None
    """Mean per request, as counted by the server; None if it reports no count."""
    cached_tokens: float | None
    """Mean number of input tokens per request taken from the server's cache; None if unknown."""
    output_tokens: float | None
    ttft: Statistics | None
    tpot: Statistics | None


@dataclass(frozen=True, slots=True)
class HungUp:
    """The requests that the client hung up (`--hang-up-after`)."""

    count: int
    after: str
    """When, as asked for: `20 tokens`, `2 s`."""
    without_token: int
    """How many of them had no token by then."""
    tokens: int
    """Total tokens that had come by then."""
    ttft: Statistics | None
    lasted: Statistics | None
    """From when each was due to when it was hung up."""


@dataclass(frozen=True, slots=True)
class StreamResult:
    """Results specific to streamed replies; docs/streams.md defines the metrics."""

    count: int
    """Successful requests whose streamed reply had at least one token."""
    without_tokens: int
    ttft: Statistics | None
    ttft_service: Statistics | None
    first_text: Statistics | None
    itl: Statistics | None
    """Gaps pooled over all requests; confidence intervals resample whole requests."""
    tpot: Statistics | None
    generation: Statistics | None
    ending: Statistics | None
    parts: Mapping[str, Mapping[str, Statistics]]
    """`ttft` and `generation` → the parts that add up to each of them, for every request."""
    tokens: Tokens
    output_tokens_per_s: float | None
    """Rate over the steady part of the run, while the maximum number of requests was in flight."""
    events_per_token: float | None
    stamps: Mapping[str, int]
    """Events with tokens by stamp: `exact`, or `shared` with later data in the same read."""
    shared_gaps: float
    """Fraction of gaps that lie within one read, where only their sum is known."""
    gaps: Gaps | None
    one_token: int
    """Streams without `tpot`: they had one output token, or all tokens arrived in one read."""
    goodput: Goodput | None = None
    """None if no limits were given."""
    first_token_splits: Mapping[str, int] = field(default_factory=dict)
    """Streams by how the server's own time to the first token was used: `apart`, it separates
    `network_first`; `scaled`, its times were reduced because they exceeded the available time by no
    more than the clocks of two processes may differ; `left_out`, they exceeded it by more."""
    waited: Statistics | None = None
    """How long servers were blocked by a slow reader; None if none was."""
    hung_up: HungUp | None = None
    """The requests that the client hung up, whose first tokens count in `ttft`, `ttft_service` and
    `first_text`, but nowhere else; None if there were none."""
    turns: tuple[Turn, ...] = ()
    """Results by turn, in order; empty if there were no conversations."""
