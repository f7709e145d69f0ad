"""Rendering of terminal output as text."""

from collections.abc import Iterable
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from tracebench.model.result import Finding

WIDTH = 80
_STYLES = {"invalid": "bold red", "warning": "yellow", "info": "cyan"}


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
    """A name shortened to fit a table, in the middle, as many names differ at the end."""
    if len(name) <= longest:
        return name
    return f"{name[: longest // 2]}…{name[-(longest - longest // 2 - 1) :]}"


def indented(what: RenderableType, left: int = 2) -> RenderableType:
    """Indent by `left` columns."""
    return Padding(what, (0, 0, 0, left))


def finding_lines(finding: Finding) -> RenderableType:
    """A finding, and below it how to fix it."""
    head = Text(f"{finding.severity}: ", style=_STYLES[finding.severity])
    head.append(f"{finding.message} [{finding.code}]", style="default")
    hints = [indented(Text(f"→ {finding.hint}", style="dim"))] if finding.hint else []
    return indented(Group(head, *hints))
