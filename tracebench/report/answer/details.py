"""What `-v` adds: every fact, every row, every finding in full, and links."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from tracebench.analysis.interpretation import interpret, interpret_stream, interpret_tail
from tracebench.analysis.numbers import counted, milliseconds, rounded
from tracebench.model.results.result import Result, TargetResult
from tracebench.report.answer.influence import influence_lines
from tracebench.report.answer.worker_lines import worker_lines
from tracebench.report.tables.component_table import component_table, has_more, note_on_estimates
from tracebench.report.tables.stream_table import stream_block
from tracebench.report.tables.terminal import finding_lines, indented, sentence

_MOST_ERRORS = 20
"""Most reasons printed; the verdict must stay in sight."""
_OF_ALL = (
    "latency of all: every success and every time-out; the rows above it leave out time-outs and "
    "what was not decomposed"
)


def details_above(target: TargetResult, result: Result) -> Iterator[RenderableType]:
    """The conclusions in full, and the outcomes of the requests."""
    reading, stream = interpret(target, result.plan, result.environment), target.stream
    streamed = "" if stream is None else interpret_stream(stream)
    if target.verdict.valid:
        tail = interpret_tail(target)
        said = [one for one in (reading.fact, streamed, reading.suggestion, tail) if one]
        yield from (indented(Text(sentence(one))) for one in said)
        yield ""
    yield from (indented(Text(line)) for line in _facts(target))
    yield ""


def _facts(target: TargetResult) -> Iterator[str]:
    counts = target.requests
    ends = {"failed": counts.failed, "timed out": counts.timed_out, "cancelled": counts.cancelled}
    ends |= {"hung up": counts.abandoned}
    bad = "".join(f", {count:,} {how}" for how, count in ends.items() if count)
    yield f"{counts.succeeded:,} of {counted(counts.started, 'request')} succeeded{bad}"
    if target.warmup is not None:
        before = "" if target.warmup.cut_s is None else f" ({rounded(target.warmup.cut_s, 2)} s)"
        yield f"warm-up left out: {counted(target.warmup.cut, 'request')}{before}"
    sources = [
        f"{count:,} by {source}"
        for source, count in target.server_timing_source.items()
        if count and source != "none"
    ]
    facts = [f"decomposed: {', '.join(sources) or 'none'}"]
    if target.tcp is not None:
        facts.append(f"TCP round trip {milliseconds(target.tcp.min_rtt_ms)} ms")
        facts.append(counted(target.tcp.connections, "connection"))
    yield " · ".join(facts)
    yield from worker_lines(target.workers)


def whole_table(
    target: TargetResult, plan: Mapping[str, Any], width: int
) -> Iterator[RenderableType]:
    """All rows of the table, and the meaning of their marks."""
    if not target.components:
        return
    yield component_table(target, width)
    if has_more(target):
        yield indented(Text(_OF_ALL, style="dim"))
    yield from note_on_estimates(target, plan)
    yield ""


def details_below(target: TargetResult) -> Iterator[RenderableType]:
    """Streams, the tool's own influence, errors, and findings in full."""
    if target.stream is not None:
        yield from (*stream_block(target.stream), "")
    if influence := [indented(Text(line)) for line in influence_lines(target, brief=False)]:
        yield from (*influence, "")
    if target.errors:
        yield from (*_errors(target), "")
    yield from (finding_lines(finding) for finding in target.verdict.findings)


def _errors(target: TargetResult) -> Iterable[RenderableType]:
    for error in target.errors[:_MOST_ERRORS]:
        example = f": {error.example}" if error.example else ""
        yield indented(Text(f"{error.count:,} × {error.reason}{example}", style="red"))
    if more := target.errors[_MOST_ERRORS:]:
        count, reasons = sum(error.count for error in more), counted(len(more), "more reason")
        yield indented(Text(f"{count:,} × {reasons}: see --output-json", style="red"))


def links(target: TargetResult) -> Iterator[str]:
    """Links to the exemplars; the slowest comes last."""
    linked = [one for one in target.exemplars if one.url is not None]
    if linked or target.search_url is not None:
        yield ""
    if target.search_url is not None:
        yield f"  traces: {target.search_url}"
    for one in linked[-1:]:
        which = "slowest" if one.percentile == 100 else f"p{one.percentile:g}"
        yield f"  {which}, {milliseconds(one.end_to_end_ms)} ms: {one.url}"
