"""Streamed replies: a summary line, and for `-v` first token, gaps, and the parts of each."""

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tracebench.analysis.numbers import counted, milliseconds, percent, rounded, whole_percent
from tracebench.model.components import SERVER_AND_NETWORK
from tracebench.model.results.statistics import SHOWN, Statistics
from tracebench.model.results.stream_result import HungUp, StreamResult, Tokens
from tracebench.report.tables.component_table import value
from tracebench.report.tables.terminal import indented
from tracebench.report.tables.turn_table import turn_block, turns_in_short

_SMALL = 0.0005
"""Parts with a smaller share are omitted."""
_WAITED_MS = 1.0
"""Shorter waits are not reported: handing over a chunk always takes some µs."""
_COUNTED = {
    "usage": "as the server counts",
    "ids": "by the server's ids",
    "events": "counted as events",
    "none": "nobody counts them",
}


def stream_block(stream: StreamResult) -> Iterator[RenderableType]:
    """Everything about the streams of a target."""
    yield from (indented(Text(line)) for line in (*stream_line(stream), *_stamps(stream)))
    yield _table(stream)
    yield from turn_block(stream.turns)


def _table(stream: StreamResult) -> RenderableType:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("streams, ms", no_wrap=True, min_width=len(SERVER_AND_NETWORK))
    for name in SHOWN:
        table.add_column(name.removesuffix("_ms"), justify="right", min_width=7)
    table.add_column("of it", justify="right", min_width=5, no_wrap=True)
    for name, statistics in _rows(stream).items():
        if statistics is not None:
            _add(table, name, statistics, stream.parts.get(name, {}))
    return indented(table)


def _rows(stream: StreamResult) -> dict[str, Statistics | None]:
    return {
        "ttft": stream.ttft,
        "itl": stream.itl,
        "tpot": stream.tpot,
        "generation": stream.generation,
        "ending": stream.ending,
    }


def _add(table: Table, name: str, whole: Statistics, parts: Mapping[str, Statistics]) -> None:
    table.add_row(name, *(value(whole, key) for key in SHOWN), "", style="bold")
    whole_ms = sum(one.mean_ms for one in parts.values())  # without those that were hung up
    for part, one in parts.items() if len(parts) > 1 else ():
        share = one.mean_ms / whole_ms if whole_ms else 0.0
        if share > _SMALL:
            cells = (value(one, key) for key in SHOWN)
            table.add_row(f"  {part}", *cells, whole_percent(share))


def stream_line(stream: StreamResult) -> Iterator[str]:
    """A line on the amount streamed."""
    tokens, facts = stream.tokens, [counted(stream.count, "stream")]
    if tokens.output is not None:
        facts.append(f"{counted(tokens.output, 'token')} ({_COUNTED[tokens.source]})")
    if stream.output_tokens_per_s is not None:
        facts.append(f"{rounded(stream.output_tokens_per_s)} tokens/s")
    yield " · ".join(facts)
    if tokens.asked_output is not None:
        yield _asked(tokens)
    if stream.hung_up is not None:
        yield _hung_up(stream.hung_up)
    yield from turns_in_short(stream.turns)


def _hung_up(found: HungUp) -> str:
    """The requests that the client hung up, beside the others."""
    told = f"{found.count:,} more hung up after {found.after}"
    if found.ttft is not None:
        first = value(found.ttft, "p50_ms")
        told += f": ttft p50 {first} ms, {counted(found.tokens, 'token')} until then"
    return told if not found.without_token else f"{told}, {found.without_token:,} without a token"


def _asked(tokens: Tokens) -> str:
    """Tokens requested from a language model, and tokens sent to it."""
    told = f"asked for {tokens.asked_output:,}"
    if tokens.input is None:
        return told
    told += f" · input {tokens.input:,}"
    if tokens.asked_input is not None:
        told += f" (asked for {tokens.asked_input:,})"
    return told + (f", {tokens.cached:,} cached" if tokens.cached else "")


def _stamps(stream: StreamResult) -> Iterator[str]:
    shared = stream.stamps["shared"] / max(sum(stream.stamps.values()), 1)
    yield f"{percent(shared)} of the stamps are upper bounds"
    if stream.waited is not None and stream.waited.p50_ms > _WAITED_MS:
        waited = milliseconds(stream.waited.p50_ms)
        yield f"the reader kept the server waiting for {waited} ms (median)"
