"""What a trace backend has of the time of a run, where it lacks the run's own traces."""

from collections.abc import Collection
from typing import Final

from tracebench.analysis.findings.missing_spans import NOTHING, Instead, came_instead
from tracebench.model.span import Span
from tracebench.tracing.jaeger.query import QueryApi, UnreadableError
from tracebench.tracing.roots.attributes import SERVICE

_MOST_SERVICES: Final = 5
_MOST_TRACES: Final = 100
"""Of each service: enough to tell what it does with the context of requests."""


def of_servers(api: QueryApi, ours: Collection[str], start_ns: int, end_ns: int) -> Instead:
    """Look for traces that servers began by themselves in a stretch of time (epoch).

    Args:
        api: where to ask.
        ours: the traces of the run.
        start_ns: its begin.
        end_ns: its end.

    Returns:
        Nothing where the backend does not tell.
    """
    found: list[Span] = []
    try:
        services = [name for name in api.services() if name != SERVICE]
        for service in services[:_MOST_SERVICES]:
            found += api.search(service, start_ns, end_ns, _MOST_TRACES)
    except UnreadableError:
        return NOTHING
    return came_instead(found, ours, ())
