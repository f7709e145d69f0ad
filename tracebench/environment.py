"""What a result says of where and how it was measured."""

import hashlib
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from tracebench.model.plan import Plan

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
    facts["payload"] = {
        "name": plan.payload.name,
        "content_type": plan.payload.content_type,
        "form": plan.payload.form,
        "bytes": len(plan.payload.content),
        "sha256": hashlib.sha256(plan.payload.content).hexdigest(),
    }
    facts["headers"] = [
        [name, "(hidden)" if name.lower() in _SECRET_HEADERS else value]
        for name, value in plan.headers
    ]
    return facts
