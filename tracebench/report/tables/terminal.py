"""Renders terminal output as text; helpers shared by all tables."""

from collections.abc import Iterable
from io import StringIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from tracebench.model.results.result import Finding
from tracebench.model.results.statistics import Statistics

WIDTH = 80
STYLES = {"invalid": "bold red", "warning": "yellow", "info": "cyan"}
_MARKS = {"invalid": "✗", "warning": "!", "info": "·"}
_INDENT = 2


def printed(parts: Iterable[RenderableType | str], width: int, *, color: bool) -> str:
    """Render the parts one after another as text.

    Args:
        parts: plain strings are not wrapped, so that they can be copied.
        width: the maximum length of all other lines.
        color: whether to use terminal codes for colours and weight.
    """
    file = StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=color,
        force_jupyter=False,  # it would display instead of writing to the file
        no_color=not color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def shortened(name: str, longest: int = 16) -> str:
    """Shorten a name in the middle, because many names differ at the end."""
    if len(name) <= longest:
        return name
    return f"{name[: longest // 2]}…{name[-(longest - longest // 2 - 1) :]}"


def cropped(text: str, width: int) -> str:
    """Cut a text to `width` columns, with … in place of what is missing."""
    if cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, max(width - 1, 0)).rstrip()}…"


def one_line(text: str, style: str = "") -> RenderableType:
    """A text that is cut at the end of the line instead of wrapped."""
    return indented(Text(text, style=style, overflow="ellipsis", no_wrap=True))


def sentence(text: str) -> str:
    """Turn a phrase into a sentence, with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def indented(what: RenderableType, left: int = _INDENT) -> RenderableType:
    """Indent by `left` columns."""
    return Padding(what, (0, 0, 0, left))


def has_estimates(statistics: Iterable[Statistics], shown: Iterable[str]) -> bool:
    """Whether any of the shown values is marked as having too few samples."""
    names = set(shown)
    return any(names.intersection(one.unsupported) for one in statistics)


def finding_line(finding: Finding, width: int) -> RenderableType:
    """A finding in one line: what is wrong, then a colon and what to do about it.

    If it does not fit, the part before the colon is cut.
    """
    brief, fix = finding.brief or finding.message, f": {finding.fix}" if finding.fix else ""
    room = width - _INDENT - 2 - cell_len(fix)
    line = Text(f"{_MARKS[finding.severity]} ", style=STYLES[finding.severity])
    line.append(f"{cropped(brief, room)}{fix}", style="default")
    return indented(line)


def finding_lines(finding: Finding) -> RenderableType:
    """A finding in full, and below it how to fix it."""
    head = Text(f"{finding.severity}: ", style=STYLES[finding.severity])
    head.append(f"{finding.message} [{finding.code}]", style="default")
    hints = [indented(Text(f"→ {finding.hint}", style="dim"))] if finding.hint else []
    return indented(Group(head, *hints))
