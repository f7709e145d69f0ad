"""`--concurrency` and `--rate` of a sweep: a list of numbers, or `auto`."""

from typing import Any

import click

AUTO = "auto"


class Loads(click.ParamType):  # type: ignore[type-arg] # generic since click 8.2 only
    """`1,2,4,8`; or `auto`, which is an empty list."""

    name = "list"

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        """Read the list."""
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
            kind = "whole numbers from 1 on" if self._whole else "numbers above 0"
            self.fail(f"{value!r} is neither 'auto' nor {kind} parted by commas.", param, ctx)
        return loads
