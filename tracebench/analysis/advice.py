"""What to do about a finding: advice that fits the plan and the measurement.

Advice that the plan already follows, or that the figures contradict, is worse than none. So each
piece carries a condition, and a finding shows only the advice whose condition holds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from server_middleware.vocabulary import REPORTED_PARTS
from tracebench.model.components import BACKLOG
from tracebench.model.results.result import TargetResult


@dataclass(frozen=True, slots=True)
class Situation:
    """What advice depends on: the plan, the environment, and a target's result."""

    plan: Mapping[str, Any]
    """The plan as in the result file; read from an archive, it may hold anything or be empty."""
    environment: Mapping[str, Any]
    target: TargetResult


Fits: TypeAlias = Callable[[Situation], bool]


def always(_now: Situation) -> bool:
    """The condition of advice that fits every situation."""
    return True


class Advice(NamedTuple):
    """One action to recommend, and when."""

    text: str
    fits: Fits = always
    cause: str = ""
    """The cause of the finding that this helps against; empty: any cause."""
    short: "str | Callable[[Situation], str]" = ""
    """A few words that end the finding's line, preferably the option to use; empty: none."""


Hint: TypeAlias = str | tuple[Advice, ...]
"""A plain string is advice that always fits."""


def pieces(hint: Hint) -> tuple[Advice, ...]:
    """All advice in a hint."""
    return (Advice(hint),) if isinstance(hint, str) else hint


def fitting(hint: Hint, now: Situation) -> str:
    """The advice that fits, in one line; empty if none does."""
    return "; ".join(one.text for one in pieces(hint) if one.fits(now))


def first_fix(advice: Iterable[Advice], now: Situation) -> str:
    """The short form of the first advice that fits and has one; empty if there is none."""
    fits = (one.short for one in advice if one.fits(now))
    told = (short if isinstance(short, str) else short(now) for short in fits)
    return next(filter(None, told), "")


# ── when it fits ─────────────────────────────────────────────────────────────────────────────────


def is_open(now: Situation) -> bool:
    """Open loop: requests were sent when they were due."""
    return by_rate(now) or by_schedule(now)


def by_rate(now: Situation) -> bool:
    """Open loop with an arrival rate."""
    return bool(now.plan.get("rate"))


def by_schedule(now: Situation) -> bool:
    """Open loop with given arrival times."""
    return bool(now.plan.get("schedule_s"))


def one_at_a_time(now: Situation) -> bool:
    """At most one request was in flight at a time."""
    return now.plan.get("concurrency") == 1


def may_lower_concurrency(now: Situation) -> bool:
    """Concurrency sets the load (closed loop), and is above 1."""
    return not is_open(now) and not one_at_a_time(now)


def cap_was_reached(now: Situation) -> bool:
    """Open loop in which due requests waited for a free slot, or may have."""
    backlog = now.target.components.get(BACKLOG)
    return is_open(now) and (backlog is None or backlog.max_ms > 0)


def timed_out(now: Situation) -> bool:
    """Some requests timed out."""
    return now.target.requests.timed_out > 0


def warms_up_by_itself(now: Situation) -> bool:
    """The run used `--warmup auto`."""
    return now.plan.get("warmup") == "auto"


def takes_spans(now: Situation) -> bool:
    """The run collected the server's own spans."""
    return given("receive_otlp")(now) or given("jaeger")(now)


def reports_parts(now: Situation) -> bool:
    """The server reported at least one named component."""
    named = any(name in now.target.components for name in REPORTED_PARTS)
    return named or bool(now.target.parts_of)


def has_one_core(now: Situation) -> bool:
    """The machine has one core, so none can be set aside."""
    return now.environment.get("cpus") == 1


def on_linux(now: Situation) -> bool:
    """The tool ran on Linux."""
    return str(now.environment.get("platform", "")).startswith("Linux")


def given(name: str) -> Fits:
    """A condition: the plan's value of this name is set."""
    return lambda now: bool(now.plan.get(name))


def unless(fits: Fits) -> Fits:
    """A condition that holds if the given one does not."""
    return lambda now: not fits(now)


def both(one: Fits, other: Fits) -> Fits:
    """A condition that holds if both given ones do."""
    return lambda now: one(now) and other(now)


def _ends_by_itself(now: Situation) -> bool:
    """The schedule ends by itself; neither `--requests` nor `--duration` can extend it."""
    rate = now.plan.get("rate")
    last = rate[-1] if isinstance(rate, list) and rate else None
    endless = isinstance(last, dict) and last.get("duration_s") is None
    return is_open(now) and not endless


# ── what several findings advise ─────────────────────────────────────────────────────────────────

LONGER = (
    Advice(
        "measure longer (--requests, --duration)",
        unless(lambda now: _ends_by_itself(now) or given("until_stable")(now)),
        short=lambda now: "longer --duration" if given("duration_s")(now) else "more --requests",
    ),
    Advice(
        "measure longer: ask for a narrower --until-stable, with a higher --requests or --duration",
        both(given("until_stable"), unless(_ends_by_itself)),
        short="narrower --until-stable",
    ),
    Advice("measure longer: use a longer schedule", _ends_by_itself, short="a longer schedule"),
)
LESS_LOAD = (
    Advice("lower --concurrency", may_lower_concurrency, short="lower --concurrency"),
    Advice("lower --rate", by_rate, short="lower --rate"),
    Advice("spread out the times of --arrivals", by_schedule, short="spread out --arrivals"),
)
OWN_CORE = (
    Advice(
        "give tracebench a core that the server does not use (taskset)",
        unless(has_one_core),
        short="give it its own core (taskset)",
    ),
    Advice(
        "run tracebench on a machine with a core to spare",
        has_one_core,
        short="use a larger machine",
    ),
)
