"""Parsing of load options: rates, schedules, lists of loads, times, and `p95 2%`."""

import re
from math import inf, isfinite
from typing import Any

import click
from click.shell_completion import CompletionItem

from tracebench.model.errors import UsageError
from tracebench.model.plan import GAMMA, HangUp, Segment, Stability
from tracebench.model.results.statistics import PERMILLE
from tracebench.system.input_files import read_text

# `--concurrency` and `--rate` of a sweep: a list of numbers, or `auto`.

AUTO = "auto"


class Loads(click.ParamType):  # type: ignore[type-arg] # generic since click 8.2 only
    """`1,2,4,8`, or `auto`, which converts to an empty list."""

    name = "list"

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        """Parse the list."""
        if isinstance(value, tuple):
            return value
        if value == AUTO:
            return ()
        try:
            loads = tuple(float(part) for part in value.split(","))
        except ValueError:
            loads = ()
        least = 1 if self._whole else 0
        ok = loads and all(load < 1e6 and load >= least and load > 0 for load in loads)
        if not ok or (self._whole and any(load % 1 for load in loads)):
            kind = "whole numbers ≥ 1" if self._whole else "numbers > 0"
            self.fail(f"{value!r}: expected 'auto' or comma-separated {kind}.", param, ctx)
        return loads


# Durations and numbers of requests.

_LONGEST_S = 86_400.0
_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


def seconds_of(text: str) -> float | None:
    """Parse `5`, `5s`, `500ms`, `2m` or `1m30s` into seconds; None if it is not a duration."""
    parts = _TIME.findall(text)
    if parts and "".join(map("".join, parts)) == text:
        return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    try:
        return float(text)
    except ValueError:
        return None


class Seconds(click.ParamType):  # type: ignore[type-arg] # generic since click 8.2 only
    """A positive duration, up to a day."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Parse the duration, and reject values outside the range."""
        number_s = seconds_of(str(value).strip())
        if number_s is None:
            self.fail(
                f"{value!r} is not a duration: write e.g. 5 (seconds), 500ms, 5s, 2m or 1m30s",
                param,
                ctx,
            )
        if not 0 < number_s <= _LONGEST_S:
            self.fail(f"{value!r} is not a duration above 0 s and up to 24h", param, ctx)
        return number_s


class WarmupValue(click.IntRange):
    """A number of requests, or `auto`."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Parse `auto` or a whole number."""
        text = str(value)
        if text != "auto" and not text.isdecimal():
            self.fail(f"{text!r} is neither a number of requests nor 'auto'.", param, ctx)
        return text if text == "auto" else super().convert(value, param, ctx)

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """Show both forms in `--help`."""
        return "N|auto"


# Rates (`100`, `10:200/60s`, `10/30s,50/30s`) and schedules in files.

_HIGHEST_RPS = 1e6
_SEGMENT = re.compile(r"(?P<a>[^:/]+)(?::(?P<b>[^:/]+))?(?:/(?P<s>[^:/]+))?")


class Rate(click.ParamType):  # type: ignore[type-arg] # generic in the newest click only
    """Requests per second: constant, steps, ramps, or a sequence of them."""

    name = "rate"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Segment, ...]:
        """Parse the segments; only the last may omit its duration."""
        *timed, last = (self._segment(text) for text in str(value).split(","))
        if not any(segment.from_rps or segment.to_rps for segment in (*timed, last)):
            self.fail(f"{value!r} sends nothing: give a rate above 0", param, ctx)
        for segment in (*timed, last):
            ramp = segment.from_rps != segment.to_rps
            if segment.duration_s == inf and (ramp or segment in timed or not segment.from_rps):
                self.fail(
                    f"{value!r} lacks a duration: write e.g. 10:200/60s or 10/30s,50/30s",
                    param,
                    ctx,
                )
        return (*timed, last)

    def _segment(self, text: str) -> Segment:
        found = _SEGMENT.fullmatch(text.strip())
        if found is None:
            self.fail(f"{text!r} is not a valid rate: write e.g. 100, 10:200/60s or 10/30s,50/30s")
        first = self._number(found["a"], _HIGHEST_RPS)
        last = first if found["b"] is None else self._number(found["b"], _HIGHEST_RPS)
        duration_s = inf if found["s"] is None else self._seconds(found["s"])
        if not duration_s:
            self.fail(f"{text!r} has a duration of zero: give it more than 0 s")
        return Segment(first, last, duration_s)

    def _seconds(self, text: str) -> float:
        number_s = seconds_of(text)
        if number_s is None or not 0 <= number_s <= _LONGEST_S:
            self.fail(f"{text!r} is not a duration up to 24h: write a rate like 10:200/60s")
        return number_s

    def _number(self, text: str, most: float) -> float:
        try:
            number = float(text)
        except ValueError:
            self.fail(
                f"{text!r} is not a number: write a rate like 100, 10:200/60s or 10/30s,50/30s"
            )
        if not 0 <= number <= most:
            self.fail(f"{text!r} is not between 0 and {most:g}")
        return number


def schedule(path: str) -> tuple[float, ...]:
    """Read due times from a file: one per line, in seconds, never decreasing, any start.

    Raises:
        UsageError: the file cannot be read, or has another format.
    """
    lines = read_text("--arrivals", path).split()
    times_s: list[float] = []
    for number, text in enumerate(lines, 1):
        try:
            at_s = float(text)
        except ValueError:
            at_s = inf
        if not isfinite(at_s) or (times_s and at_s < times_s[-1]):
            raise UsageError(
                f"--arrivals {path!r}: entry {number} is {text!r}: give times in ascending order"
            )
        times_s.append(at_s)
    if not times_s:
        raise UsageError(f"--arrivals {path!r} is empty: give one time in seconds per line")
    return tuple(at_s - times_s[0] for at_s in times_s)


# `--arrival` and `--hang-up-after`.

_LEAST_SHAPE, _MOST_SHAPE = 0.01, 10_000.0
_HANG_UP = re.compile(r"(?:([0-9]+)tokens?|([0-9.]+(?:ms|s|m|h)[0-9.smh]*))(?::([0-9.]+))?")
_MOST_TOKENS = 10_000_000


class ArrivalValue(click.ParamType):  # type: ignore[type-arg] # generic in the newest click only
    """`constant`, `poisson` or `gamma:K`."""

    name = "arrival"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Check the name, and the shape of a gamma distribution."""
        text = str(value).strip()
        if text in ("constant", "poisson"):
            return text
        try:
            shape = float(text.removeprefix(GAMMA)) if text.startswith(GAMMA) else 0.0
        except ValueError:
            shape = 0.0
        if not _LEAST_SHAPE <= shape <= _MOST_SHAPE:
            self.fail(
                f"{value!r}: give constant, poisson, or gamma:K with K from {_LEAST_SHAPE:g} to "
                f"{_MOST_SHAPE:g}, as in gamma:0.5",
                param,
                ctx,
            )
        return f"{GAMMA}{shape:g}"

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """Show the choices in `--help`."""
        return "constant|poisson|gamma:K"

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """The choices that begin so."""
        choices = ("constant", "poisson", GAMMA)
        return [CompletionItem(one) for one in choices if one.startswith(incomplete)]


class HangUpValue(click.ParamType):  # type: ignore[type-arg] # generic in the newest click only
    """`20tokens` or `2s`, and the share of the requests after a colon."""

    name = "hang-up"

    def convert(self, value: Any, param: Any, ctx: Any) -> HangUp:
        """Parse the limit and the share."""
        if isinstance(value, HangUp):
            return value
        found = _HANG_UP.fullmatch(str(value).strip())
        try:
            tokens = int(found[1]) if found and found[1] else None
            after_s = seconds_of(found[2]) if found and found[2] else None
            share = float(found[3]) if found and found[3] else 1.0
        except ValueError:
            found = None
        if found is None or not (0 < (tokens or 0) <= _MOST_TOKENS or (after_s or 0) > 0):
            self.fail(
                f"{value!r}: give tokens or a time, and perhaps a share of the requests, as in "
                "20tokens, 2s or 20tokens:0.5",
                param,
                ctx,
            )
        if not 0 < share <= 1:
            self.fail(f"{value!r}: give a share above 0 and up to 1 after ':'", param, ctx)
        return HangUp(tokens, after_s, share)


# `--until-stable`, e.g. `p95 2%`.

_WRITTEN = re.compile(r"(mean|p[0-9.]+) +([0-9.]+) *%")
_STATISTICS = {name.removesuffix("_ms"): name for name in ("mean_ms", *PERMILLE)}
_STATISTICS["p99.9"] = "p999_ms"


class UntilStable(click.ParamType):  # type: ignore[type-arg] # generic in the newest click only
    """A latency statistic and the required relative precision."""

    name = "stability"

    def convert(self, value: Any, param: Any, ctx: Any) -> Stability:
        """Parse the statistic and the precision."""
        found = _WRITTEN.fullmatch(str(value).strip())
        statistic = _STATISTICS.get(found[1]) if found else None
        if found is None or statistic is None:
            self.fail(
                f"{value!r}: give one of {', '.join(_STATISTICS)} and a share, e.g. 'p95 2%'",
                param,
                ctx,
            )
        try:
            share = float(found[2]) / 100
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            self.fail(f"{value!r}: give a share above 0% and below 100%", param, ctx)
        return Stability(statistic, share)


# `--trace-share`, e.g. `1%`.

_SHARE = re.compile(r"([0-9]*\.?[0-9]+) *(%?)")


class Share(click.ParamType):  # type: ignore[type-arg] # generic in the newest click only
    """A share above 0 and up to all: `1%` or `0.01`."""

    name = "share"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Parse the share; a whole number needs its `%`, since 1 could mean both."""
        if isinstance(value, float):
            return value
        found = _SHARE.fullmatch(str(value).strip())
        if found is None or (not found[2] and float(found[1]) >= 1):
            self.fail(f"{value!r} is not a share: write e.g. 1% or 0.01", param, ctx)
        share = float(found[1]) / (100 if found[2] else 1)
        if not 0 < share <= 1:
            self.fail(f"{value!r}: give a share above 0% and up to 100%", param, ctx)
        return share
