"""What is printed on a terminal, as text."""

from collections.abc import Iterable
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from tracebench.model.result import Finding

WIDTH = 80
_STYLES = {"invalid": "bold red", "warning": "yellow", "info": "cyan"}


def printed(parts: Iterable[RenderableType | str], width: int, *, color: bool) -> str:
    """Print one after the other into a text.

    Args:
        parts: a plain text is not wrapped, so that it can be copied: it may be longer.
        width: nothing else is longer.
        color: with the terminal's codes for colours and weight.
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
    """A name that fits into a table; what is left out is in its middle: many differ at the end."""
    if len(name) <= longest:
        return name
    return f"{name[: longest // 2]}…{name[-(longest - longest // 2 - 1) :]}"


def indented(what: RenderableType, left: int = 2) -> RenderableType:
    """Moved to the right."""
    return Padding(what, (0, 0, 0, left))


def finding_lines(finding: Finding) -> RenderableType:
    """A finding, and below it what mends it."""
    head = Text(f"{finding.severity}: ", style=_STYLES[finding.severity])
    head.append(f"{finding.message} [{finding.code}]", style="default")
    hints = [indented(Text(f"→ {finding.hint}", style="dim"))] if finding.hint else []
    return indented(Group(head, *hints))
