"""Streamed replies, as a block of the table: first token, gaps, rates."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tracebench.analysis.interpretation import interpret_stream
from tracebench.analysis.numbers import milliseconds
from tracebench.model.components import SERVER_AND_NETWORK
from tracebench.model.result import SHOWN, Goodput, Statistics, StreamResult, Tokens
from tracebench.report.terminal import indented
from tracebench.report.turn_table import turn_block

_WAITED_MS = 1.0
"""A server that hands a chunk over waits some µs in any case."""
_QUIET = 0.0005
"""Parts with a smaller share are omitted."""


def stream_block(stream: StreamResult) -> Iterator[RenderableType]:
    """Everything about the streams of a target."""
    yield indented(Text(_facts(stream)))
    yield ""
    table = Table(box=None, padding=(0, 1), pad_edge=True)
    table.add_column("ms", no_wrap=True, min_width=len(SERVER_AND_NETWORK) + 2)
    for name in SHOWN:
        table.add_column(name.removesuffix("_ms"), justify="right", min_width=8)
    table.add_column("of it", justify="right", min_width=6, no_wrap=True)
    for name, statistics in _rows(stream):
        if statistics is None:
            continue
        table.add_row(name, *_values(statistics), "", style="bold")
        parts = stream.parts.get(name, {})
        shares = {part: _share(one, statistics) for part, one in parts.items()}
        for part, share in shares.items():
            if share > _QUIET and len(parts) > 1:
                table.add_row(f"  {part}", *_values(parts[part]), f"{share:.1%}")
    yield table
    if any(one is not None and one.unsupported for _, one in _rows(stream)):
        why = "too few samples for this percentile, or too many tokens in one read"
        yield indented(Text(f"~ {why}", style="dim"))
    yield ""
    yield from turn_block(stream.turns)
    if stream.goodput is not None:
        yield indented(Text(_goodput(stream.goodput), style="bold"))
    for sentence in interpret_stream(stream):
        yield indented(Text(sentence, style="bold"))


def _rows(stream: StreamResult) -> list[tuple[str, Statistics | None]]:
    return [
        ("ttft", stream.ttft),
        ("itl", stream.itl),
        ("tpot", stream.tpot),
        ("generation", stream.generation),
        ("ending", stream.ending),
    ]


def _facts(stream: StreamResult) -> str:
    tokens, facts = stream.tokens, [f"{stream.count:,} streams"]
    if tokens.output is not None:
        counted = {
            "usage": "as the server counts",
            "ids": "by the server's ids",
            "events": "counted as events",
            "none": "nobody counts them",
        }
        facts.append(f"{tokens.output:,} tokens ({counted[tokens.source]})")
    if tokens.asked_output is not None:
        facts.append(_asked(tokens))
    if stream.output_tokens_per_s is not None:
        facts.append(f"{stream.output_tokens_per_s:,.1f} tokens/s")
    if stream.waited is not None and stream.waited.p50_ms > _WAITED_MS:
        waited = milliseconds(stream.waited.p50_ms)
        facts.append(f"the reader kept the server waiting for {waited} ms (median)")
    shared = stream.stamps["shared"] / max(sum(stream.stamps.values()), 1)
    facts.append(f"{shared:.1%} of the stamps are upper bounds")
    return " · ".join(facts)


def _asked(tokens: Tokens) -> str:
    """What was asked of a language model, and what came of it."""
    told = f"asked for {tokens.asked_output:,}"
    if tokens.input is None:
        return told
    sent = f"input {tokens.input:,}"
    if tokens.asked_input is not None:
        sent += f" (asked for {tokens.asked_input:,})"
    cached = f", {tokens.cached:,} of it from the cache" if tokens.cached else ""
    return f"{told} · {sent}{cached}"


def _goodput(found: Goodput) -> str:
    limits = ", ".join(f"{name} < {milliseconds(ms)} ms" for name, ms in found.limits.items())
    return f"Goodput: {found.share:.1%} of the requests, {found.rps:,.1f}/s, meet {limits}."


def _values(statistics: Statistics) -> list[str]:
    return [
        ("~" if name in statistics.unsupported else "") + milliseconds(getattr(statistics, name))
        for name in SHOWN
    ]


def _share(part: Statistics, whole: Statistics) -> float:
    return part.mean_ms / whole.mean_ms if whole.mean_ms else 0.0
