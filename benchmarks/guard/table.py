"""The table that the guard prints, in Markdown."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.guard.arithmetic import Pairs
from benchmarks.guard.check import Check, Topic

HEAD = """
| check | base | now | ratio or difference [95 %] | bound | holds |
|---|--:|--:|---|---|---|"""


def line(check: Check, pairs: Pairs) -> tuple[str, bool]:
    """A line of the table, and whether the bound holds."""
    verdict = check.bound.judged(pairs)
    base, now = (f"{median(side):,.4g}" for side in zip(*pairs, strict=True))
    cells = (
        *(f"{check.name} ({check.how})", f"{base} {check.unit}", f"{now} {check.unit}"),
        *(verdict.text, str(check.bound), "yes" if verdict.holds else "**NO**"),
    )
    return f"| {' | '.join(cells)} |", verdict.holds


def printed(topics: Sequence[Topic], found: Mapping[str, Pairs]) -> bool:
    """Print the table; whether all bounds hold."""
    print(HEAD)
    kept = True
    for topic in topics:
        for check in topic.checks:
            text, holds = line(check, found[check.name])
            print(text, flush=True)
            kept &= holds
    return kept
