"""When and where runs were made, in one line."""

from collections.abc import Sequence
from datetime import datetime

from tracebench.model.results.result import Result


def where(runs: Sequence[Result]) -> str:
    """When the runs were made, and on which machines."""
    dates = sorted({_day(one.started_at) for one in runs})
    machines = dict.fromkeys(_machine(one) for one in runs)
    tools = dict.fromkeys(f"tracebench {one.tool.get('version', '')}".strip() for one in runs)
    when = dates[0] if len(dates) == 1 else f"{dates[0]} … {dates[-1]}"
    return " · ".join((when, *machines, *tools))


def _day(started_at: str) -> str:
    """The time to the minute; unchanged if it cannot be parsed."""
    try:
        return datetime.fromisoformat(started_at).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return started_at


def _machine(run: Result) -> str:
    told = run.environment
    cpus = told.get("cpus_usable") or told.get("cpus")
    system = str(told.get("platform", ""))
    return ", ".join(filter(None, (system, f"{cpus} CPUs" if cpus else "")))
