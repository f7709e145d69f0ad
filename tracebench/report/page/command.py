"""The command line that repeats a measurement, reconstructed from the plan in its result."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final

from tracebench.model.plan import Payloads, Plan, Spread, Targets

_OPTIONS: Final = {
    "duration_s": "--duration",
    "timeout_s": "--timeout",
    "stream_timeout_s": "--stream-timeout",
    "headers": "--header",
    "maps": "--map",
    "clients": "--client",
    "schedule_s": "--arrivals",
    "prompts_file": "--prompts",
    "think_time_s": "--think-time",
    "ramp_up_s": "--ramp-up",
    "metrics": "--metric",
    "named": "--target",
}
"""Fields whose option has a different name."""
_DEFAULTS: Final[Mapping[str, Any]] = {
    one.name: one.default
    for part in (Payloads(), *(part.default for part in fields(Plan)))
    if is_dataclass(part)
    for one in fields(part)
}
_IMPLIED: Final = ("payload", "sent", "prompts")
"""Fields that follow from other options or from files."""
_TARGETS: Final = tuple(one.name for one in fields(Targets))


def command(plan: Mapping[str, Any], words: Iterable[str] = ("run",)) -> str:
    """The command line, quoted for a shell.

    Payloads and other files appear by name only, because results contain no paths; secrets appear
    redacted, as elsewhere.

    Args:
        plan: the plan in the result file.
        words: the subcommand of tracebench.
    """
    given = [*_payload(plan), *_target(plan)]
    for name, value in plan.items():
        if name not in (*_IMPLIED, *_TARGETS) and _is_asked(name, value, plan):
            given += _option(name, value)
    return shlex.join(["tracebench", *words, *given])


def _target(plan: Mapping[str, Any]) -> Iterator[str]:
    for name in _TARGETS:
        if plan.get(name):
            yield from _option(name, plan[name])


def _payload(plan: Mapping[str, Any]) -> Iterator[str]:
    payload = plan.get("payload")
    if not isinstance(payload, Mapping) or not payload.get("count"):
        return
    option = "payloads" if payload["count"] > 1 else str(payload.get("form"))
    yield from (f"--{option}", str(payload.get("name")))


def _is_asked(name: str, value: object, plan: Mapping[str, Any]) -> bool:
    """Whether a field differs from its default, so that its option is needed."""
    if value in (None, (), []) or name not in _DEFAULTS:
        return False
    if name == "requests":
        return plan.get("duration_s") is None
    default = _DEFAULTS[name]
    if isinstance(default, Spread):
        return bool(value != {"mean": default.mean, "sd": default.sd})
    return bool(value != (list(default) if isinstance(default, tuple) else default))


def _option(name: str, value: Any) -> list[str]:
    option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    if value is True:
        return [option]
    if value is False:
        return [option.replace("--", "--no-", 1)]
    if name in _WRITTEN:
        return [option, _WRITTEN[name](value)]
    if name == "headers":
        return [text for key, held in value for text in (option, f"{key}: {held}")]
    if name == "named":
        return [text for one in value.items() for text in (option, _named(*one))]
    if isinstance(value, Mapping):  # a spread
        return [option, f"{value['mean']:g}" + (f":{value['sd']:g}" if value["sd"] else "")]
    if isinstance(value, list | tuple):
        return [text for one in value for text in (option, str(one))]
    return [option, f"{value:g}" if isinstance(value, float) else str(value)]


def _rate(value: Sequence[Mapping[str, Any]]) -> str:
    return ",".join(map(_segment, value))


def _stability(value: Mapping[str, Any]) -> str:
    return f"{value['statistic'].removesuffix('_ms')} {100 * value['share']:g}%"


def _named(name: str, address: str) -> str:
    """The value of `--target`; the URL's scheme distinguishes gRPC from REST."""
    if address.startswith("unix:"):
        return f"{name}=grpc+{address}"
    return f"{name}={address}" if "://" in address else f"{name}=grpc://{address}"


def _hang_up(value: Mapping[str, Any]) -> str:
    """The value of `--hang-up-after`, e.g. `20tokens:0.5`."""
    limit = f"{value['after_s']:g}s" if value["tokens"] is None else f"{value['tokens']}tokens"
    return limit if value["share"] == 1 else f"{limit}:{value['share']:g}"


def _segment(one: Mapping[str, Any]) -> str:
    """One segment of a rate, e.g. `100` or `10:200/60s`."""
    low, high, lasts_s = one["from_rps"], one["to_rps"], one.get("duration_s")
    rate = f"{low:g}" if low == high else f"{low:g}:{high:g}"
    return rate if lasts_s is None else f"{rate}/{lasts_s:g}s"


_WRITTEN: Final[Mapping[str, Callable[[Any], str]]] = {
    "rate": _rate,
    "until_stable": _stability,
    "schedule_s": lambda _: "ARRIVALS",
    "hang_up_after": _hang_up,
}
"""Field → how the value of its option is written."""
