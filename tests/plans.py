"""Plans from options side by side, as tests that pass some on have them."""

from dataclasses import fields, replace
from typing import Any

from tracebench.model.plan import Payload, Payloads, Plan


def plan_of(payload: Payload | tuple[Payload, ...], **options: Any) -> Plan:
    """A plan, each option in the part that has a field of its name."""
    return changed(Plan(Payloads(payload)), **options)


def changed(plan: Plan, **options: Any) -> Plan:
    """A plan with other values of some options."""
    parts = {one.name: getattr(plan, one.name) for one in fields(plan)}
    for name, part in parts.items():
        own = {one.name for one in fields(part)} & options.keys()
        parts[name] = replace(part, **{field: options.pop(field) for field in own})
    assert not options, f"no part of the plan has {', '.join(options)}"
    return Plan(**parts)
