"""Findings about whether the metrics of streamed replies mean what they seem to."""

from typing import Final

import numpy as np

from tracebench.analysis.advice import Advice, has_one_core, unless
from tracebench.analysis.findings.finding import (
    INFO,
    WARNING,
    Evidence,
    FindingKind,
    part_of,
    state,
    weigh,
)
from tracebench.analysis.streams.streams import MOSTLY, buffered_share
from tracebench.model.record.streams import BROKE_OFF, STOPPED
from tracebench.model.results.result import Finding

_NEARLY: Final = 0.05

_STREAM_ERROR: Final = FindingKind(
    "stream_error",
    WARNING,
    "{value:#stream} broke off with an error event after a head that had said success: "
    "counted as failed, their tokens in no statistic",
    (
        Advice(
            "see the reasons among the errors; the server's log tells more",
            short="see the server's log",
        ),
    ),
    "{value:#stream} broke off with an error event",
    explained_by=("errors",),
)


def _stream_error(run: Evidence) -> Finding | None:
    return weigh(_STREAM_ERROR, _failed(run, BROKE_OFF))


_STREAM_TRUNCATED: Final = FindingKind(
    "stream_truncated",
    WARNING,
    "{value:#stream} stopped without the event that ends one: counted as failed",
    (
        Advice(
            "look for a proxy or a worker that ends connections early",
            short="a proxy or worker cuts it",
        ),
    ),
    "{value:#stream} stopped before the end",
    explained_by=("errors",),
)


def _stream_truncated(run: Evidence) -> Finding | None:
    return weigh(_STREAM_TRUNCATED, _failed(run, STOPPED))


_TOKENS_UNKNOWN: Final = FindingKind(
    "tokens_unknown",
    INFO,
    "nobody counts the tokens of {value:#stream}: each event with a part of the answer counts "
    "as one",
    (
        Advice(
            'ask for the usage ("stream_options": {"include_usage": true} in OpenAI\'s interface), '
            "or name where an event has its token with --token-path",
            short="--token-path",
        ),
    ),
    "nobody counts the tokens: events are counted",
)


def _tokens_unknown(run: Evidence) -> Finding | None:
    found = run.stream
    unknown = found is not None and found.tokens.source in ("events", "none")
    return weigh(_TOKENS_UNKNOWN, found.count + found.without_tokens if found and unknown else 0)


_CHUNKS_ARE_NOT_TOKENS: Final = FindingKind(
    "chunks_are_not_tokens",
    ((_NEARLY, "info"),),
    "the server sends {events:.3g} events a token: `itl` tells of gaps between events, `tpot` of "
    "tokens",
    (Advice("use `tpot` to compare with other servers", short="compare by tpot"),),
    "the server sends {events:.3g} events a token",
)


def _chunks_are_not_tokens(run: Evidence) -> Finding | None:
    if run.stream is None or run.stream.events_per_token is None:
        return None
    events = run.stream.events_per_token
    return weigh(_CHUNKS_ARE_NOT_TOKENS, abs(1 - events), events=events)


_FIRST_TOKEN_HELD_BACK: Final = FindingKind(
    "first_token_held_back",
    ((MOSTLY, "warning"),),
    "in {value:%} of the streams the first token came together with others, though later ones "
    "come one at a time: something held it back, and `ttft` is that much longer",
    (
        Advice(
            "look for a proxy that collects a first block (nginx: proxy_buffering off), or a "
            "server that flushes only when a buffer is full",
            short="proxy_buffering off",
        ),
    ),
    "the first token was held back in {value:%} of the streams",
)


def _first_token_held_back(run: Evidence) -> Finding | None:
    if run.load.streams is None or buffered_share(run.load.streams) > MOSTLY:
        return None
    streams = run.load.streams
    rows = streams.rows["reads"] > 1
    if not rows.any():
        return None
    first = streams.reads["tokens"][streams.first_reads[rows]]
    usual = np.median(streams.reads["tokens"])
    return weigh(_FIRST_TOKEN_HELD_BACK, float(np.mean(first >= 2 * usual + 1)))


_BUFFERED_STREAM: Final = FindingKind(
    "buffered_stream",
    ((MOSTLY, "warning"),),
    "{value:%} of the streams arrived in at most two reads, all their tokens together: "
    "something between the model and here buffers them, so there is no `itl` and no `tpot`",
    (
        Advice(
            "let the proxy pass events on at once (nginx: proxy_buffering off; or the header "
            "X-Accel-Buffering: no), and the server flush after each, with TCP_NODELAY set",
            short="proxy_buffering off",
        ),
    ),
    "{value:%} of the streams came all at once, without itl",
)


def _buffered_stream(run: Evidence) -> Finding | None:
    streams = run.load.streams
    return None if streams is None else weigh(_BUFFERED_STREAM, buffered_share(streams))


_SHORT_OUTPUTS: Final = FindingKind(
    "short_outputs",
    ((_NEARLY, "warning"),),
    "the answers are {value:%} shorter than asked: {mean:.4g} tokens (mean) of {asked:.4g}; "
    "lengths that the model chooses differ from run to run",
    (
        Advice(
            'ask for a fixed length ("ignore_eos": true where the server knows it)',
            short='"ignore_eos": true',
        ),
    ),
    "answers are {value:%} shorter than asked: {mean:.3g} tokens of {asked:,}",
)


def _short_outputs(run: Evidence) -> Finding | None:
    found, each = run.stream, run.load.asked_tokens
    if found is None or found.tokens.output is None or not found.count:
        return None
    asked = each if found.tokens.asked_output is None else found.tokens.asked_output / found.count
    if not asked:
        return None
    mean = found.tokens.output / found.count
    return weigh(_SHORT_OUTPUTS, 1 - mean / asked, mean=mean, asked=asked)


_PREFIX_CACHED: Final = FindingKind(
    "prefix_cached",
    ((_NEARLY, "warning"),),
    "{value:%} of the prompts' tokens came from the server's cache: the prefill of new prompts "
    "takes longer than `ttft` says",
    (
        Advice(
            "send prompts that differ from their first word on, as --llm does unless "
            "--prefix-tokens, --reuse-prompts or --turns asks otherwise",
            short="vary the prompts (--llm)",
        ),
    ),
    "{value:%} of the prompts' tokens came from a cache",
)


def _prefix_cached(run: Evidence) -> Finding | None:
    if run.stream is None:
        return None
    tokens, agreed = run.stream.tokens, run.load.agreement
    in_template = agreed.count.overhead * run.stream.count if agreed is not None else 0
    share = part_of((tokens.cached or 0) - in_template, tokens.input or 0)
    if share > _NEARLY and agreed is not None and agreed.shares:
        return state(_PREFIX_CACHED, "info", value=share)  # caching was intended
    return weigh(_PREFIX_CACHED, share)


_LESS_LAG: Final = (
    Advice(
        "give the tool a core of its own (taskset)",
        unless(has_one_core),
        short="give it a core (taskset)",
    ),
    Advice("lower the load", short="lower the load"),
)
"""What lets the tool read in time."""
_CLIENT_TOKEN_LAG: Final = FindingKind(
    "client_token_lag",
    ((_NEARLY, "info"), (0.25, "warning")),
    "{value:%} of the gaps between tokens lie within one read, so that only their sum is known: "
    "percentiles of `itl` are marked; `ttft`, `tpot` and `generation` do not depend on them",
    (
        *_LESS_LAG,
        Advice("a server that sends several tokens at once looks the same"),
    ),
    "{value:%} of the gaps between tokens lie in one read",
)


def _client_token_lag(run: Evidence) -> Finding | None:
    return None if run.stream is None else weigh(_CLIENT_TOKEN_LAG, run.stream.shared_gaps)


_WINDOW_THROTTLED: Final = FindingKind(
    "window_throttled",
    ((0.0, "info"), (_NEARLY, "warning")),
    "a TCP receive window on this machine was full {times:#time|times} for "
    "{count:#stream|streams}: a sender had to wait for its reader, so tokens came later than the "
    "server could have sent them, if the reader was this tool",
    (
        *_LESS_LAG,
        Advice("raise the receive buffer (sysctl net.ipv4.tcp_rmem)"),
        Advice("run nothing else here that reads from the network"),
    ),
    "a receive window was full {times:#time|times}",
)


def _window_throttled(run: Evidence) -> Finding | None:
    """Report closed TCP windows; HTTP/2's own, 2 GiB each, are never filled by a token stream."""
    streams, closed = run.load.streams, run.load.closed_windows or 0
    if streams is None or not len(streams):
        return None
    return weigh(_WINDOW_THROTTLED, closed / len(streams), times=closed, count=len(streams))


def _failed(run: Evidence, why: str) -> int:
    """How many requests failed for a reason that starts with this text."""
    return sum(one.count for one in run.errors if one.reason.startswith(why))


KINDS: Final = (
    _STREAM_ERROR,
    _STREAM_TRUNCATED,
    _TOKENS_UNKNOWN,
    _CHUNKS_ARE_NOT_TOKENS,
    _FIRST_TOKEN_HELD_BACK,
    _BUFFERED_STREAM,
    _SHORT_OUTPUTS,
    _PREFIX_CACHED,
    _CLIENT_TOKEN_LAG,
    _WINDOW_THROTTLED,
)
JUDGES: Final = (
    _stream_error,
    _stream_truncated,
    _tokens_unknown,
    _chunks_are_not_tokens,
    _first_token_held_back,
    _buffered_stream,
    _short_outputs,
    _prefix_cached,
    _client_token_lag,
    _window_throttled,
)
