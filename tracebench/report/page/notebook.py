"""A run's answer as HTML for a notebook, in its own colours; no script and no style sheet."""

from collections.abc import Iterable

from markupsafe import Markup

from tracebench.analysis.interpretation import interpret, interpret_stream, tail_in_short
from tracebench.analysis.numbers import whole_percent
from tracebench.model.results.result import Result, TargetResult
from tracebench.model.results.statistics import SHOWN
from tracebench.report.answer import gate_lines
from tracebench.report.answer.headline import doubts, facts, judgement, to_mend
from tracebench.report.answer.influence import influence_lines
from tracebench.report.figures.figure_style import COMPONENTS, INVALID, OWN
from tracebench.report.tables.component_table import Row, meaning_of_estimates, rows_of
from tracebench.report.tables.difference_table import difference_block
from tracebench.report.tables.stream_table import stream_line
from tracebench.report.tables.terminal import WIDTH, printed, sentence

_MOST_ERRORS = 5
_BAR_EM = 12
_LEFT = "text-align:left;padding:0 .6em"
_RIGHT = "text-align:right;padding:0 .6em;font-variant-numeric:tabular-nums"
_RULE = "border-left:4px solid {};padding-left:.7em;margin:.4em 0"
_GOOD, _FAIR = "#009e73", "#e69f00"
"""Of Okabe and Ito, as in all pictures; each stands beside words that say the same."""


def render(result: Result) -> str:
    """The answer of a run, as on the terminal: verdict, sentence, table with bars, what to fix."""
    label = Markup("<p><b>{}</b></p>").format(result.label) if result.label else Markup()
    parts = [_target(name, target, result) for name, target in result.targets.items()]
    for one in (result.comparison, *result.comparisons):
        if one is not None:
            parts.append(Markup(verbatim(printed([difference_block(one)], WIDTH, color=False))))
    if decided := gate_lines.render(result):
        parts.append(Markup(verbatim(decided)))
    return Markup("<div>{}{}</div>").format(label, Markup().join(parts))


def verbatim(text: str) -> str:
    """Lines of a terminal as HTML."""
    return Markup('<pre style="line-height:1.25;overflow-x:auto">{}</pre>').format(text)


def _target(name: str, target: TargetResult, result: Result) -> Markup:
    word, style = judgement(target)
    told = " · ".join(facts(target, result.plan))
    color = INVALID if "red" in style else _GOOD if "green" in style else _FAIR
    said = _sentences(target, result)
    return Markup(
        '<p style="margin:.6em 0 0"><b>{}</b> {} <span style="opacity:.75">{}</span></p>'
        '<div style="{}"><b>{}</b> <span style="opacity:.75">{}</span>{}</div>{}{}{}'
    ).format(
        name,
        target.address,
        told,
        _RULE.format(color),
        word,
        to_mend(target),
        Markup().join(Markup("<br>{}").format(sentence(one)) for one in said),
        _table(target) if target.components else Markup(),
        _notes(target, result),
        _doubts(target),
    )


def _sentences(target: TargetResult, result: Result) -> Iterable[str]:
    if not target.verdict.valid:
        return ()
    reading = interpret(target, result.plan, result.environment)
    streamed = "" if target.stream is None else interpret_stream(target.stream)
    return filter(None, (reading.fact, streamed, reading.suggestion, tail_in_short(target)))


def _table(target: TargetResult) -> Markup:
    heads = Markup().join(
        Markup('<th scope="col" style="{}">{}</th>').format(_RIGHT, name.removesuffix("_ms"))
        for name in (*SHOWN, "share")
    )
    rows = Markup().join(_row(target, row) for row in rows_of(target))
    return Markup(
        '<table style="border-collapse:collapse"><thead><tr>'
        '<th scope="col" style="{}">ms</th>{}<th></th></tr></thead><tbody>{}</tbody></table>'
    ).format(_LEFT, heads, rows)


def _row(target: TargetResult, row: Row) -> Markup:
    name = row.label.strip()
    share = "" if row.share is None else whole_percent(row.share)
    cells = Markup().join(
        Markup('<td style="{}">{}</td>').format(_RIGHT, value) for value in (*row.values, share)
    )
    indent = 1.2 if row.label.startswith(" ") else 0
    weight = "bold" if "bold" in row.style else "normal"
    return Markup(
        '<tr><th scope="row" style="{};font-weight:{};padding-left:{}em">{}</th>{}'
        '<td style="text-align:left">{}</td></tr>'
    ).format(_LEFT, weight, 0.5 + indent, name, cells, _bar(name, row))


def _bar(name: str, row: Row) -> Markup:
    """A bar as long as the row's share; the numbers beside it say the same."""
    if row.share is None:
        return Markup('<span style="opacity:.75">{}</span>').format(row.remark)
    look = COMPONENTS.get(name, OWN[0])
    return Markup(
        '<span aria-hidden="true" style="display:inline-block;width:{:.2f}em;height:.8em;'
        'background:{};outline:1px solid rgba(128,128,128,.6)"></span>'
    ).format(max(row.share, 0.0) * _BAR_EM, look.color)


def _notes(target: TargetResult, result: Result) -> Markup:
    streamed = () if target.stream is None else stream_line(target.stream)
    notes = (
        meaning_of_estimates(target, result.plan),
        *streamed,
        *influence_lines(target, brief=True),
    )
    lines = (Markup("{}<br>").format(one) for one in notes if one)
    return Markup('<div style="opacity:.75">{}</div>').format(Markup().join(lines))


def _doubts(target: TargetResult) -> Markup:
    lines = [
        f"{one.severity}: {one.brief or one.message}{f': {one.fix}' if one.fix else ''}"
        for one in doubts(target)
    ]
    for error in target.errors[:_MOST_ERRORS]:
        example = f": {error.example}" if error.example else ""
        lines.append(f"{error.count:,} × {error.reason}{example}")
    if not lines:
        return Markup()
    items = Markup().join(Markup("<li>{}</li>").format(one) for one in lines)
    return Markup('<ul style="margin:.4em 0">{}</ul>').format(items)
