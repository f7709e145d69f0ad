"""What a result says of where and how it was measured."""

import hashlib
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from math import inf
from typing import Any

from tracebench.model.plan import Payload, Plan, Segment

_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization", "x-api-key")
_PACKAGES = ("grpcio", "httptools", "numpy", "opentelemetry-sdk", "requests")


def environment() -> dict[str, Any]:
    """The client's machine and software."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "cpus_usable": len(affinity(0)) if affinity else os.cpu_count(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def plan_facts(plan: Plan) -> dict[str, Any]:
    """The plan for the result file: no payload but its digest, no secret but its name."""
    facts = asdict(plan)
    facts["payload"] = _payload_facts(plan.payloads)
    if plan.rate is not None:
        facts["rate"] = [_segment(one) for one in plan.rate]
    if plan.schedule_s is not None:
        facts["schedule_s"] = {"count": len(plan.schedule_s), "last_s": plan.schedule_s[-1]}
    facts["headers"] = [
        [name, "(hidden)" if name.lower() in _SECRET_HEADERS else value]
        for name, value in plan.headers
    ]
    return facts


def _payload_facts(payloads: Sequence[Payload]) -> dict[str, Any]:
    """What is sent; `bytes` and `sha256` are of all payloads together."""
    sizes = [len(payload.content) for payload in payloads]
    digest = hashlib.sha256()
    for payload in payloads:
        digest.update(payload.content)
    return {
        "name": payloads[0].name,
        "content_type": payloads[0].content_type,
        "form": payloads[0].form,
        "bytes": sum(sizes),
        "sha256": digest.hexdigest(),
        "count": len(sizes),
        "smallest_bytes": min(sizes),
        "largest_bytes": max(sizes),
    }


def _segment(segment: Segment) -> dict[str, float | None]:
    endless = segment.duration_s == inf
    return asdict(segment) | {"duration_s": None if endless else segment.duration_s}
