"""The answer as Markdown, for a pull request or a job summary."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tracebench.analysis.interpretation import interpret, interpret_stream, tail_in_short
from tracebench.analysis.numbers import whole_percent
from tracebench.model.results.comparison import Reported, RunComparison
from tracebench.model.results.result import Result, TargetResult
from tracebench.model.results.search import Search
from tracebench.model.results.statistics import SHOWN
from tracebench.model.results.sweep import Sweep
from tracebench.report.answer import gate_lines
from tracebench.report.answer.headline import doubts, facts, judgement, to_mend
from tracebench.report.answer.influence import influence_lines
from tracebench.report.several import Several, together
from tracebench.report.tables import compare_table, search_table, several_table, sweep_table
from tracebench.report.tables.component_table import meaning_of_estimates, rows_of
from tracebench.report.tables.difference_table import difference_block
from tracebench.report.tables.stream_table import stream_line
from tracebench.report.tables.terminal import WIDTH, printed, sentence

_MARKS: Final = {"invalid": "❌", "warning": "⚠️"}
_MOST_ERRORS: Final = 5
_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#~])")


def render(found: Reported | Several[Any]) -> str:
    """The answer as on the terminal, in Markdown; several results are headed by their names."""
    several = together(found)
    lines = [*_side_by_side(several)] if len(several.results) > 1 else []
    for name, result in several.results.items():
        title = name or ("" if isinstance(result, RunComparison) else result.label)
        lines += [f"## {_plain(title)}", ""] if title else []
        lines += _lines(result)
    return "\n".join(lines).rstrip() + "\n"


def _side_by_side(several: Several[Any]) -> Iterator[str]:
    """A table with a line for each target of several runs."""
    if not all(isinstance(one, Result) for one in several.results.values()):
        return
    *heads, last = several_table.HEADINGS
    yield f"| {' | '.join(heads)} | {last} |"
    yield f"|:--|{'--:|' * (len(heads) - 1)}:--|"
    for row in several_table.rows(several):
        mark = "" if row.valid else f"{_MARKS['invalid']} "
        values = " | ".join(map(_plain, (*row.values, row.mostly)))
        yield f"| {mark}{_plain(row.title)} | {values} |"
    yield ""


def _lines(result: Reported) -> Iterable[str]:
    if isinstance(result, Search):
        return _verbatim(search_table.render(result))
    if isinstance(result, RunComparison):
        decided = gate_lines.render_slower(result)
        return _verbatim("\n".join(filter(None, (compare_table.render(result), decided))))
    return _sweep(result) if isinstance(result, Sweep) else _run(result)


def _sweep(sweep: Sweep) -> Iterator[str]:
    for name, scaling in sweep.scaling.items():
        yield from (f"**{_plain(name)}**: {_plain(sentence(scaling.sentence))}", "")
    yield from _verbatim(sweep_table.render(sweep, detail="table"))


def _run(result: Result) -> Iterator[str]:
    for name, target in result.targets.items():
        yield from (f"### {_plain(name)}  {_plain(target.address)}", "")
        word, told = judgement(target)[0], " · ".join(facts(target, result.plan))
        yield from (f"**{_plain(word)}** · {_plain(told)} · {to_mend(target)}", "")
        for said in _sentences(target, result):
            yield from (_plain(sentence(said)), "")
        if target.components:
            yield from (*_table(target), "")
        yield from _notes(target, result)
        yield from _doubts(target)
    for one in (result.comparison, *result.comparisons):
        if one is not None:
            yield from _verbatim(printed([difference_block(one)], WIDTH, color=False))
    if decided := gate_lines.render(result):
        yield from _verbatim(decided)


def _sentences(target: TargetResult, result: Result) -> Iterable[str]:
    if not target.verdict.valid:
        return ()
    reading = interpret(target, result.plan, result.environment)
    streamed = "" if target.stream is None else interpret_stream(target.stream)
    said = (reading.fact, streamed, reading.suggestion, tail_in_short(target))
    return filter(None, said)


def _table(target: TargetResult) -> Iterator[str]:
    """The table of components; their names cannot contain characters that end inline code."""
    heads = [name.removesuffix("_ms") for name in SHOWN]
    yield f"| ms | {' | '.join(heads)} | share |"
    yield f"|:--|{'--:|' * (len(heads) + 1)}"
    for row in rows_of(target):
        share = "" if row.share is None else whole_percent(row.share)
        name = f"{'&nbsp;&nbsp;' if row.label.startswith(' ') else ''}`{row.label.strip()}`"
        values = " | ".join(map(_plain, row.values))
        yield f"| {name} | {values} | {_plain(share) or _plain(row.remark)} |"


def _notes(target: TargetResult, result: Result) -> Iterator[str]:
    notes = [*filter(None, [meaning_of_estimates(target, result.plan)])]
    notes += () if target.stream is None else stream_line(target.stream)
    notes += influence_lines(target, brief=True)
    for note in notes:
        yield from (_plain(note), "")


def _doubts(target: TargetResult) -> Iterator[str]:
    findings = doubts(target)
    for one in findings:
        fix = f": {one.fix}" if one.fix else ""
        yield f"- {_MARKS[one.severity]} {_plain((one.brief or one.message) + fix)}"
    for error in target.errors[:_MOST_ERRORS]:
        example = f": {error.example}" if error.example else ""
        yield f"- {_plain(f'{error.count:,} × {error.reason}{example}')}"
    if findings or target.errors:
        yield ""


def _verbatim(text: str) -> tuple[str, ...]:
    return ("```text", text, "```", "")


def _plain(text: str) -> str:
    """A text on one line, with all Markdown characters escaped."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
