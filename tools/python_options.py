"""The options of the Python API, from those of the command line: `make python-options`.

Writes tracebench/api/options.py, which type checkers and editors read, and the table in
docs/python.md.
"""

import subprocess
import sys
import textwrap
from typing import Any, Final

import click

from tools.house import ROOT
from tracebench.api.as_options import name_of as name_of
from tracebench.api.as_options import options_of
from tracebench.cli.options.completing import FileName
from tracebench.cli.options.llm_options import SpreadValue
from tracebench.cli.options.load_values import Loads, Rate, Seconds, Share, WarmupValue
from tracebench.cli.reports import analyze
from tracebench.cli.run import run
from tracebench.cli.search import search
from tracebench.cli.sweep import sweep

MODULE = ROOT / "tracebench" / "api" / "options.py"
PAGE = ROOT / "docs" / "python.md"
COMMANDS: Final[dict[str, click.Command]] = {
    "Run": run,
    "Sweep": sweep,
    "Search": search,
    "Analyze": analyze,
}
_SHARED: Final = ("Run", "Sweep", "Search")
_BEGIN, _END = "<!-- options -->\n", "<!-- end -->\n"
_PATH: Final = "str | PathLike[str]"
_CONTENT: Final = {
    "image": f"{_PATH} | bytes",
    "data": f"{_PATH} | bytes",
    "json": f"{_PATH} | Mapping[str, object] | list[object]",
    "payloads": f"{_PATH} | Sequence[object]",
}
"""Options that also take values."""
_TEXTS: Final = ("text", "target", "stability", "arrival", "hang-up")
"""Names of the parameter types whose values are texts here too."""
_PAIRS: Final = ("header", "map", "target")
"""Options whose values are pairs."""
_HEAD: Final = '''"""The options of the API, as types: written by `make python-options`."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Literal, TypedDict
'''


def annotation(name: str, option: click.Option) -> str:
    """The type of an option in Python."""
    kind = _CONTENT.get(name) or _of_one(option)
    if option.multiple:
        kind = f"{kind} | Sequence[{kind}]"
        if name in _PAIRS:
            kind = f"{kind} | Mapping[str, str]"
    return kind if option.is_flag and not option.secondary_opts else f"{kind} | None"


def _of_one(option: click.Option) -> str:
    kind: Any = option.type
    if option.is_flag:
        return "bool"
    if isinstance(kind, click.Choice):
        return f"Literal[{', '.join(map(repr, kind.choices))}]"
    if isinstance(kind, WarmupValue):
        return 'int | Literal["auto"]'
    if isinstance(kind, click.types.IntParamType):
        return "int"
    if isinstance(kind, click.types.FloatParamType):
        return "float"
    if isinstance(kind, Seconds | Rate | Share | SpreadValue):
        return "float | str"
    if isinstance(kind, Loads):
        return 'Sequence[float] | float | Literal["auto"]'
    if isinstance(kind, FileName):
        return _PATH
    assert kind.name in _TEXTS, kind
    return "bool | str" if option.name == "receive_otlp" else "str"


def module() -> str:
    """The module of now."""
    options = {kind: _typed(command) for kind, command in COMMANDS.items()}
    first, *others = (options[kind] for kind in _SHARED)
    shared = {k: v for k, v in first.items() if all(one.get(k) == v for one in others)}
    parts = [_HEAD, _class("Shared", "TypedDict", "What all of them take.", shared)]
    for kind, those in options.items():
        base = "Shared" if kind in _SHARED else "TypedDict"
        own = {k: v for k, v in those.items() if kind not in _SHARED or k not in shared}
        parts.append(_class(f"{kind}Options", base, f"The options of `{kind.lower()}`.", own))
    written = "\n\n".join(parts)
    tidy = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(MODULE), "-"]
    return subprocess.run(tidy, input=written, text=True, capture_output=True, check=True).stdout


def _typed(command: click.Command) -> dict[str, tuple[str, str]]:
    return {
        name: (annotation(name, option), option.help or "")
        for name, option in options_of(command).items()
    }


def _class(name: str, base: str, about: str, options: dict[str, tuple[str, str]]) -> str:
    lines = [f"class {name}({base}, total=False):", f'    """{about}"""', ""]
    for option, (kind, about_it) in options.items():
        text = "\n    ".join(textwrap.wrap(f'"""{about_it}"""', 96))
        lines += [f"    {option}: {kind}", f"    {text}"]
    return "\n".join((*lines, ""))


def page() -> str:
    """The page with the table of now: the options of `run`."""
    before, rest = PAGE.read_text().split(_BEGIN)
    return f"{before}{_BEGIN}{table()}\n{_END}{rest.split(_END)[1]}"


def table() -> str:
    """A row for each option of `run`, under its heading."""
    lines, heading = ["| option | type | meaning |", "|---|---|---|"], ""
    for name, option in options_of(run).items():
        if (now := getattr(option, "heading", "")) != heading:
            heading = now
            lines.append(f"| **{heading}** | | |")
        kind = annotation(name, option).replace("PathLike[str]", "PathLike").replace("|", "\\|")
        about = (option.help or "").replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| `{name}` | `{kind}` | {about} |")
    return "\n".join(lines)


if __name__ == "__main__":
    MODULE.write_text(module())
    PAGE.write_text(page())
