"""Which gauges to look for: those of known servers, and those named by the user."""

import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from tracebench.gauges.page import PageError, Wanted, selector
from tracebench.model.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PROFILES: Final = Path(__file__).parent / "profiles"
_EXAMPLE: Final = "the example"


@cache
def known() -> tuple[Wanted, ...]:
    """Gauges of known servers; if several have the same name, the first one on a page counts."""
    return tuple(
        Wanted(told["name"], metric, told.get("labels", {}), told.get("of_several", "sum"))
        for profile in _profiles()
        for told in profile["gauge"]
        for metric in _several(told["metric"])
    )


def servers() -> str:
    """Names of the servers whose gauges are known, for use in a sentence."""
    return ", ".join(one["about"] for one in _profiles() if one["about"] != _EXAMPLE)


def named(metrics: Iterable[str]) -> tuple[Wanted, ...]:
    """Parse the metrics named by the user.

    Args:
        metrics: metric names, optionally with labels in braces, in Prometheus's notation.

    Raises:
        UsageError: a name is invalid.
    """
    return tuple(map(_named, metrics))


def _named(text: str) -> Wanted:
    try:
        metric, labels = selector(text)
    except PageError:
        raise UsageError(
            f"--metric {text!r} is not the name of a metric: write it as the page does, "
            "as in 'queue_length' or 'queue_length{model=\"m\"}'"
        ) from None
    return Wanted(text, metric, labels)


@cache
def _profiles() -> tuple[dict[str, Any], ...]:
    paths = sorted(_PROFILES.glob("*.toml"))
    return tuple(tomllib.loads(path.read_text(encoding="utf-8")) for path in paths)


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
