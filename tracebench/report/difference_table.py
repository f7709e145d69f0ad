"""The difference between two targets, as a block below their tables."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from server_middleware.vocabulary import INFERENCE, INFERENCE_PARTS
from tracebench.analysis.numbers import milliseconds, signed
from tracebench.model.components import COMPONENTS, END_TO_END, LEAVES
from tracebench.model.result import Comparison
from tracebench.report.terminal import indented, shortened


def difference_block(comparison: Comparison) -> RenderableType:
    """The difference of each component, and what its intervals do not cover."""
    table = _differences(comparison)
    if not comparison.caveat:
        return table
    note = f"{comparison.caveat[:1].upper()}{comparison.caveat[1:]}."
    return Group(table, indented(Text(note, style="dim")))


def _differences(comparison: Comparison) -> RenderableType:
    a, b = comparison.a, comparison.b
    table = Table(box=None, padding=(0, 1), title=f"{b} against {a}", title_justify="left")
    table.title_style = "bold"
    for heading in ("p50, ms", a, b, "difference", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "p50, ms" else "right")
    after = LEAVES.index(INFERENCE) + 1
    leaves = (*LEAVES[:after], *INFERENCE_PARTS, *LEAVES[after:])
    order = (*leaves, *_own(comparison), END_TO_END)
    for name in (name for name in order if name in comparison.components):
        one = comparison.components[name]["p50_ms"]
        if one.a == one.b == 0:
            continue
        interval = "unknown" if one.ci95 is None else " … ".join(map(signed, one.ci95))
        cells = (milliseconds(one.a), milliseconds(one.b), signed(one.delta), interval)
        table.add_row(name if name in COMPONENTS else f"  {shortened(name)}", *cells)
    return table


def _own(comparison: Comparison) -> list[str]:
    """The custom-named parts that both targets have."""
    known = COMPONENTS.union(INFERENCE_PARTS)
    return [name for name in comparison.components if name not in known]
