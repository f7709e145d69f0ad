"""Goodput: the share and the rate of requests that meet every limit (`--slo`)."""

import re
from collections.abc import Mapping
from typing import Final

import numpy as np

from tracebench.model.columns import ABSENT, Int64
from tracebench.model.components import END_TO_END
from tracebench.model.errors import UsageError
from tracebench.model.result import Goodput

LIMITED: Final = ("ttft", "ttft_service", "first_text", "tpot", "generation", END_TO_END)
"""What has one value a request, and so can be limited."""
_LIMIT: Final = re.compile(r"\s*(\w+)\s*<=?\s*([0-9.]+)\s*(ms|s|us|µs)\s*")
_MS: Final = {"s": 1e3, "ms": 1.0, "us": 1e-3, "µs": 1e-3}


def limits_of(text: str) -> dict[str, float]:
    """Read limits as `ttft < 200ms, tpot < 25ms`; metric → ms.

    Raises:
        UsageError: a part of the text is none.
    """
    limits: dict[str, float] = {}
    for part in text.split(","):
        found = _LIMIT.fullmatch(part)
        if found is None or found[1] not in LIMITED:
            raise UsageError(
                f"--slo {text!r}: {part.strip()!r} is no limit: write METRIC < VALUE, as in "
                f"'ttft < 200ms, tpot < 25ms'; the metrics are {', '.join(LIMITED)}"
            )
        try:
            limits[found[1]] = float(found[2]) * _MS[found[3]]
        except ValueError:
            raise UsageError(f"--slo {text!r}: {found[2]!r} is not a number") from None
    return limits


def goodput(
    limits: Mapping[str, float], values_ns: Mapping[str, Int64], ended: int, duration_s: float
) -> Goodput:
    """How many requests meet every limit.

    Args:
        limits: metric → ms.
        values_ns: metric → the value of each success; one that has none (a single token has no
            time per token) meets any limit.
        ended: all requests that ended, failures too: those meet none.
        duration_s: of the run.
    """
    count = len(next(iter(values_ns.values())))
    good = np.ones(count, np.bool_)
    for name, most_ms in limits.items():
        values = values_ns[name]
        good &= (values == ABSENT) | (values < most_ms * 1e6)
    met = int(np.count_nonzero(good))
    share, rps = met / max(ended, 1), met / duration_s if duration_s else 0.0
    return Goodput(share, rps, dict(limits))
