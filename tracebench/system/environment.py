"""What a result says about where and how it was measured."""

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from math import inf
from typing import Any

from tracebench.model.plan import Payload, Plan, Segment
from tracebench.system.redaction import Secrets, header_shown, redacted

_URLS = (
    "rest_url",
    "grpc_server",
    "otlp_endpoint",
    "forward_otlp",
    "jaeger",
    "trace_ui",
    "metrics_url",
)
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


def plan_facts(plan: Plan, sizes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """The plan for the result file, with digests instead of payloads, and names of secrets only.

    Args:
        plan: the plan of the run.
        sizes: target → size in bytes of each different request sent to it.
    """
    whole, secrets = replace(plan, language=replace(plan.language, prompts=())), Secrets.of(plan)
    facts = {name: value for part in asdict(whole).values() for name, value in part.items()}
    facts |= {"prompts": len(plan.language.prompts) or None}
    facts |= {"extra_body": secrets.hidden(plan.language.extra_body)}
    facts |= {name: facts[name] and redacted(facts[name]) for name in _URLS}
    facts["named"] = {one.name: redacted(one.address) for one in plan.targets.named}
    facts["payload"] = _payload_facts(plan.payloads.all)
    if plan.load.rate is not None:
        facts["rate"] = [_segment(one) for one in plan.load.rate]
    if plan.load.schedule_s is not None:
        facts["schedule_s"] = {
            "count": len(plan.load.schedule_s),
            "last_s": plan.load.schedule_s[-1],
        }
    facts["sent"] = {target: _size_facts(those) for target, those in sizes.items()}
    facts["headers"] = [[name, header_shown(name, value)] for name, value in plan.calls.headers]
    return facts


def _payload_facts(payloads: Sequence[Payload]) -> dict[str, Any]:
    """The payloads of the plan; the digest is of all of them together."""
    digest = hashlib.sha256()
    for payload in payloads:
        digest.update(payload.content)
    first = payloads[0] if payloads else Payload(b"", "", "made up", "json")
    return {
        "name": first.name,
        "content_type": first.content_type,
        "form": first.form,
        "bytes": sum(len(payload.content) for payload in payloads),
        "sha256": digest.hexdigest(),
        "count": len(payloads),
    }


def _segment(segment: Segment) -> dict[str, float | None]:
    endless = segment.duration_s == inf
    return asdict(segment) | {"duration_s": None if endless else segment.duration_s}


def _size_facts(sizes: Sequence[int]) -> dict[str, int]:
    """The sizes of the bodies or messages sent to one target."""
    return {"count": len(sizes), "smallest_bytes": min(sizes), "largest_bytes": max(sizes)}
