"""Links to Jaeger's UI: to requests that exemplify percentiles, and to all requests of a run."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from tracebench.model.record.requests import Requests
from tracebench.model.results.result import Exemplar, TargetResult
from tracebench.tracing.jaeger.legacy_json import NS_PER_US
from tracebench.tracing.roots.attributes import PROTOCOL, RUN_ID, SERVICE
from tracebench.tracing.roots.export import Run
from tracebench.tracing.roots.target_attributes import TargetAttributes

_LISTED: Final = 20
"""How many traces the UI lists by default."""


def trace_url(ui: str, trace_id: str, span_id: str) -> str:
    """The URL of a trace, with one of its spans highlighted.

    Args:
        ui: the base URL of the UI, without a trailing slash.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
    """
    return f"{ui}/trace/{trace_id}?{urlencode({'uiFind': span_id})}"


def search_url(ui: str, tags: Mapping[str, str], start_ns: int, end_ns: int) -> str:
    """The URL that lists our traces with all these tags that began in this period (ns, epoch)."""
    query = {
        "service": SERVICE,
        "tags": json.dumps(tags, separators=(",", ":")),
        "start": start_ns // NS_PER_US,
        "end": end_ns // NS_PER_US + 1,
        "lookback": "custom",
        "limit": _LISTED,
    }
    return f"{ui}/search?{urlencode(query)}"


def with_traces(ui: str, result: TargetResult, requests: Requests) -> TargetResult:
    """The result with a link at each exemplar that is among the requests, and so has a trace."""
    wanted = {one.trace_id for one in result.exemplars}
    roots = dict(ids for ids in requests.ids_at(range(len(requests))) if ids[0] in wanted)

    def link(one: Exemplar) -> Exemplar:
        root = roots.get(one.trace_id)
        return one if root is None else replace(one, url=trace_url(ui, one.trace_id, root))

    return replace(result, exemplars=tuple(link(one) for one in result.exemplars))


def with_search(
    ui: str, result: TargetResult, requests: Requests, described: TargetAttributes, run: Run
) -> TargetResult:
    """The result with a link to its root spans; unchanged if there are no requests."""
    if not len(requests):
        return result
    tags = {RUN_ID: run.id, PROTOCOL: described.protocol}
    start_ns = requests.due_ns[0] + run.anchor.offset_ns
    end_ns = start_ns + requests.duration_ns
    return replace(result, search_url=search_url(ui, tags, start_ns, end_ns))
