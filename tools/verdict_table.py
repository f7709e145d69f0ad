"""The table of docs/verdict.md, from the list of findings: `make verdict` writes it."""

import re

from tools.house import ROOT
from tracebench.analysis.advice import pieces
from tracebench.analysis.findings.finding import FindingKind
from tracebench.analysis.verdict import FINDINGS

PAGE = ROOT / "docs" / "verdict.md"
_BEGIN, _END = "<!-- table -->\n", "<!-- end -->\n"
_FIELD = re.compile(r"\{(\w+)(?:!r)?(?::([^}]*))?\}")


def table() -> str:
    """Every finding: how severe it is from which value on, what it says, what mends it."""
    rows = [
        f"| `{code}` | {_levels(kind)} | {_FIELD.sub(_blank, kind.message)} | {_hint(kind)} |"
        for code, kind in sorted(FINDINGS.items())
    ]
    return "\n".join(
        ("| code | severity | what it says | what mends it |", "|---|---|---|---|", *rows)
    )


def page() -> str:
    """The page with the table of now."""
    before, rest = PAGE.read_text().split(_BEGIN)
    return f"{before}{_BEGIN}{table()}\n{_END}{rest.split(_END)[1]}"


def _hint(kind: FindingKind) -> str:
    """All the advice, of which a run is told what fits it."""
    return "<br>".join(dict.fromkeys(one.text for one in pieces(kind.hint)))


def _levels(kind: FindingKind) -> str:
    """Such as `warning above 1 %`, in the unit in which the message tells the value."""
    form = next((form for name, form in _FIELD.findall(kind.message) if name == "value"), "")
    if len(kind.levels) == 1 and not kind.levels[0][0]:
        return kind.levels[0][1]
    return "<br>".join(
        f"{severity} above {f'{limit * 100:g} %' if form.endswith('%') else f'{limit:g}'}"
        for limit, severity in kind.levels
    )


def _blank(field: re.Match[str]) -> str:
    return "" if field[1] == "worth" else f"*{field[1].removesuffix('_ms').replace('_', ' ')}*"


if __name__ == "__main__":
    PAGE.write_text(page())
