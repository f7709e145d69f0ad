"""The header of a figure: what was found, whether to trust it, and what was measured where."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from matplotlib.figure import SubFigure
from matplotlib.text import Annotation, Text

from tracebench.analysis.interpretation import interpret, interpret_stream, tail_in_short
from tracebench.analysis.numbers import percent, rounded, signed
from tracebench.model.components import END_TO_END
from tracebench.model.results.result import Comparison, Result
from tracebench.report.answer.headline import doubts, facts, judgement
from tracebench.report.answer.where import where
from tracebench.report.figures.figure_style import DARK, INVALID, SOFT, look_of_target
from tracebench.report.several import Several, Shown, targets_of
from tracebench.report.tables.terminal import cropped, sentence

_JUDGED: Final = {"red": INVALID, "yellow": "#8a5a00", "green": "#1a7f37"}
_LINE: Final = 140
"""Characters of the usual size that fit on a line."""
_HEADLINE: Final = 92
_TIMES: Final = 2.0
"""From here on a difference is told as a multiple, not in percent."""
_POINTS_PER_IN: Final = 72
_LEFT: Final = 0.012


class _Piece(NamedTuple):
    """A text on a line, which the next one follows."""

    text: str
    size: float = 9.5
    color: str = DARK
    bold: bool = False


_Line = Sequence[_Piece]


def lines(several: Several[Result]) -> list[_Line]:
    """The header's lines: the headline, two or three a target, then dates and machines."""
    shown = list(targets_of(several))
    only = shown[0] if len(shown) == 1 else None
    told = list(_headline(several, shown))
    headline = [_Piece(cropped(told[0], _HEADLINE), 14, bold=True)]
    rest = [[_Piece(cropped(text, _LINE), 11)] for text in told[1:]]
    targets = [line for at, one in enumerate(shown) for line in _target(at, one, only is None)]
    last = cropped(where(list(several.results.values())), _LINE)
    return [headline, *rest, *targets, [_Piece(last, 8.5, SOFT)]]


def height_in(header: Sequence[_Line]) -> float:
    """The height that the lines need."""
    return sum(map(_line_in, header)) + 0.12


def draw(part: SubFigure, header: Sequence[_Line], room_in: float) -> None:
    """Write the lines from the top of the part, whose height is `room_in`."""
    below_in = 0.08
    for line in header:
        below_in += _line_in(line)
        before: Text | None = None
        for piece in line:
            before = _place(part, piece, before, 1 - below_in / room_in)


def _line_in(line: _Line) -> float:
    return 1.55 * max(piece.size for piece in line) / _POINTS_PER_IN


def _place(part: SubFigure, piece: _Piece, before: Text | None, y: float) -> Text:
    weight = "bold" if piece.bold else "normal"
    if before is None:
        return part.text(
            _LEFT, y, piece.text, size=piece.size, color=piece.color, weight=weight, va="bottom"
        )
    after = Annotation(
        piece.text,
        (1, 0),
        xycoords=before,
        xytext=(9, 0),
        textcoords="offset points",
        va="bottom",
        size=piece.size,
        color=piece.color,
        weight=weight,
    )
    part.add_artist(after)
    return after


def _headline(several: Several[Result], shown: Sequence[Shown]) -> Iterator[str]:
    """The label, then the answer: of the only target, or of the only comparison."""
    runs = list(several.results.values())
    if len(runs) == 1 and runs[0].label:
        yield runs[0].label
    if len(shown) == 1:
        yield _sentences(shown[0])[0]
    elif len(runs) == 1 and runs[0].comparison is not None:
        yield from _compared(runs[0].comparison)
    elif len(runs) > 1 or not runs[0].label:
        yield " · ".join(one.title for one in shown)


def _compared(one: Comparison) -> Iterator[str]:
    """Which target is faster at the median, if that is shown; then its interval."""
    found = one.components.get(END_TO_END, {}).get("p50_ms")
    if found is None or found.ci95 is None:
        yield f"{one.b} against {one.a}"
        return
    if found.ci95[0] <= 0 <= found.ci95[1]:
        yield f"No difference between {one.b} and {one.a} is shown at the median."
    elif found.a and found.b > _TIMES * found.a:
        yield f"{one.b} takes {rounded(found.b / found.a)} times as long as {one.a} at the median."
    else:
        word = "slower" if found.delta > 0 else "faster"
        share = f" ({percent(abs(found.delta) / found.a)})" if found.a else ""
        by = f"{rounded(abs(found.delta))} ms{share}"
        yield f"{one.b} is {by} {word} than {one.a} at the median."
    ends = " … ".join(map(signed, found.ci95))
    yield f"Difference at the median: {signed(found.delta)} ms, 95 % interval {ends} ms."


def _sentences(one: Shown) -> list[str]:
    """What is found about a target; if its numbers are not valid, why."""
    if not one.target.verdict.valid:
        invalid = [each for each in doubts(one.target) if each.severity == "invalid"]
        return [sentence(each.brief or each.message) for each in invalid[:1]] or ["Not valid."]
    fact = interpret(one.target, one.run.plan, one.run.environment).fact
    streamed = "" if one.target.stream is None else interpret_stream(one.target.stream)
    told = [sentence(text) for text in (fact, streamed, tail_in_short(one.target)) if text]
    return told or ["Nothing can be said yet."]


def _target(number: int, one: Shown, among_others: bool) -> Iterator[_Line]:
    """A target's name, address and extent; then what its numbers can be used for."""
    word, style = judgement(one.target)
    judged = _Piece(word, color=_JUDGED[style.removeprefix("bold ")], bold=True)
    told = " · ".join(facts(one.target, one.run.plan))
    address = _Piece(f"{cropped(one.target.address, 70)}   {told}", color=SOFT)
    saying = _sentences(one)
    if among_others:
        look = look_of_target(number)
        yield [_Piece(cropped(one.title, 40), 10.5, look.color, bold=True), address]
        if len(saying) > 1 and len(word) + sum(map(len, saying)) > _LINE:
            saying = saying[:1]
        yield [judged, _Piece(cropped(" ".join(saying), _LINE - len(word) - 8))]
    else:
        yield [judged, _Piece(cropped(" ".join(saying[1:]), _LINE - len(word) - 8))]
        yield [_Piece(cropped(one.title, 40), bold=True), address]
