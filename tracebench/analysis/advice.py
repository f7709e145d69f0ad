"""What to do about a finding: advice that fits what was planned, and what was measured.

Advice that the plan already follows, or that the figures contradict, is worse than none. So each
piece says when it fits, and what is told of a finding is what fits.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from server_middleware.vocabulary import REPORTED_PARTS
from tracebench.model.components import BACKLOG
from tracebench.model.result import TargetResult


@dataclass(frozen=True, slots=True)
class Situation:
    """What was asked for, where, and what came of it."""

    plan: Mapping[str, Any]
    """As in the result file; an archive's may hold anything, or nothing."""
    environment: Mapping[str, Any]
    target: TargetResult


Fits: TypeAlias = Callable[[Situation], bool]


def always(_now: Situation) -> bool:
    """Advice that no plan follows already."""
    return True


class Advice(NamedTuple):
    """One thing to do."""

    text: str
    fits: Fits = always
    cause: str = ""
    """What the finding must be due to for it to help; empty: whatever it is due to."""
    short: "str | Callable[[Situation], str]" = ""
    """The same in few words, if possible the option to give: it ends the finding's line. Empty: no
    line ends in it."""


Hint: TypeAlias = str | tuple[Advice, ...]
"""A text is advice that always fits."""


def pieces(hint: Hint) -> tuple[Advice, ...]:
    """All the advice of a hint."""
    return (Advice(hint),) if isinstance(hint, str) else hint


def fitting(hint: Hint, now: Situation) -> str:
    """The advice that fits, in one line; empty where none does."""
    return "; ".join(one.text for one in pieces(hint) if one.fits(now))


def first_fix(advice: Iterable[Advice], now: Situation) -> str:
    """What fits best, in few words; empty where nothing that fits has a short form."""
    fits = (one.short for one in advice if one.fits(now))
    told = (short if isinstance(short, str) else short(now) for short in fits)
    return next(filter(None, told), "")


# ── when it fits ─────────────────────────────────────────────────────────────────────────────────


def is_open(now: Situation) -> bool:
    """Requests were sent when they were due."""
    return by_rate(now) or by_schedule(now)


def by_rate(now: Situation) -> bool:
    """They were due at a rate."""
    return bool(now.plan.get("rate"))


def by_schedule(now: Situation) -> bool:
    """They were due at given times."""
    return bool(now.plan.get("schedule_s"))


def one_at_a_time(now: Situation) -> bool:
    """No two requests were ever under way together."""
    return now.plan.get("concurrency") == 1


def may_lower_concurrency(now: Situation) -> bool:
    """It decides how hard the server is pressed, and can be lower."""
    return not is_open(now) and not one_at_a_time(now)


def cap_was_reached(now: Situation) -> bool:
    """Requests that were due waited for others to end."""
    backlog = now.target.components.get(BACKLOG)
    return is_open(now) and (backlog is None or backlog.max_ms > 0)


def timed_out(now: Situation) -> bool:
    """Some replies did not come in time."""
    return now.target.requests.timed_out > 0


def warms_up_by_itself(now: Situation) -> bool:
    """`--warmup auto`."""
    return now.plan.get("warmup") == "auto"


def takes_spans(now: Situation) -> bool:
    """The server's own spans were asked for."""
    return given("receive_otlp")(now) or given("jaeger")(now)


def reports_parts(now: Situation) -> bool:
    """The server told some component by its name."""
    named = any(name in now.target.components for name in REPORTED_PARTS)
    return named or bool(now.target.parts_of)


def has_one_core(now: Situation) -> bool:
    """There is no core to be set apart."""
    return now.environment.get("cpus") == 1


def on_linux(now: Situation) -> bool:
    """The tool ran on Linux."""
    return str(now.environment.get("platform", "")).startswith("Linux")


def given(name: str) -> Fits:
    """An option was given."""
    return lambda now: bool(now.plan.get(name))


def unless(fits: Fits) -> Fits:
    """The opposite."""
    return lambda now: not fits(now)


def both(one: Fits, other: Fits) -> Fits:
    """Both hold."""
    return lambda now: one(now) and other(now)


def _ends_by_itself(now: Situation) -> bool:
    """The schedule has an end that neither `--requests` nor `--duration` can put off."""
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
