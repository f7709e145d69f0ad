"""`--until-stable` as it is written: `p95 2%`."""

import re
from typing import Any

import click

from tracebench.model.plan import Stability
from tracebench.model.result import PERMILLE

_WRITTEN = re.compile(r"(mean|p[0-9.]+) +([0-9.]+) *%")
_STATISTICS = {name.removesuffix("_ms"): name for name in ("mean_ms", *PERMILLE)}
_STATISTICS["p99.9"] = "p999_ms"


class UntilStable(click.ParamType):  # type: ignore[type-arg] # generic in the newest click only
    """A statistic of the latency, and how well it shall be known."""

    name = "stability"

    def convert(self, value: Any, param: Any, ctx: Any) -> Stability:
        """Read both."""
        found = _WRITTEN.fullmatch(str(value).strip())
        statistic = _STATISTICS.get(found[1]) if found else None
        if found is None or statistic is None:
            self.fail(
                f"{value!r}: give one of {', '.join(_STATISTICS)} and a share, as in 'p95 2%'",
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
