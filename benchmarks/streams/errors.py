"""Stamps beside the truth, request by request."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tracebench.model.record.streams import gaps_ns

Int64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_NOTHING: Final = np.array([], np.int64)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one stream."""

    error_ns: Int64
    """Stamp minus when it left the server."""
    exact: Flags
    """Whether the stamp says that it is exact."""
    held: Flags
    """Whether it left after the read before, and not after its stamp."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a cell has shown."""

    streams: int
    tokens: int
    lost: int
    """Streams that failed, are not in the record, or whose tokens were not counted right."""
    first_ns: Int64
    """Errors of the first tokens' stamps that are exact."""
    exact_ns: Int64
    """Of all."""
    shared_first: float
    shared: float
    not_held: int
    """Intervals that do not contain the truth."""
    cpu_us: float
    """A token, of the whole process, from connecting to the columns."""
    kept_bytes: float
    """A token."""


def told(file: Path) -> dict[str, Int64]:
    """What the server says of each stream."""
    lines = map(json.loads, file.read_text().splitlines())
    return {line["name"]: np.array(line["left_ns"], np.int64) for line in lines}


def compared(file: Path, truth: dict[str, Int64], requests: int, longest: int) -> Found:
    """Pair each stream with what the server says of it.

    Args:
        file: what the client kept.
        truth: trace id → when each token left.
        requests: so many there should be.
        longest: streams of more tokens are left out, but for what they cost.
    """
    kept = np.load(file)
    rows, reads, names = kept["rows"], kept["reads"], kept["names"]
    ends = np.cumsum(rows["reads"], dtype=np.int64)
    streams: list[Tokens] = []
    lost = requests - int(kept["succeeded"]) + requests - len(rows)
    for row, end, name in zip(rows, ends, names, strict=True):
        left_ns = truth[str(name)]
        if row["carrying"] != len(left_ns):
            lost += 1
        elif len(left_ns) <= longest:
            streams.append(_paired(row, reads[end - row["reads"] : end], left_ns))
            lost += int(streams[-1].exact.sum() != row["exact"])
    exact = _joined(streams, "exact").astype(np.bool_)
    held = _joined(streams, "held").astype(np.bool_)
    firsts = np.array([one.exact[0] for one in streams], np.bool_)
    all_tokens = int(rows["carrying"].sum())
    return Found(
        streams=len(streams),
        tokens=len(exact),
        lost=lost,
        first_ns=np.array([one.error_ns[0] for one in streams], np.int64)[firsts],
        exact_ns=_joined(streams, "error_ns")[exact],
        shared_first=_share(firsts),
        shared=_share(exact),
        not_held=int((~held).sum()),
        cpu_us=int(kept["cpu_ns"]) / all_tokens / 1e3,
        kept_bytes=(rows.nbytes + reads.nbytes) / all_tokens,
    )


def _paired(row: Any, reads: Any, left_ns: Int64) -> Tokens:
    """A token an event, and an event a send: the tokens of the reads, in order, are the sends."""
    count = reads["tokens"].astype(np.int64)
    came_ns = int(row["sent"]) + np.cumsum(gaps_ns(reads))
    after_ns = np.concatenate(([row["first_token_after"]], came_ns[:-1]))
    read = np.repeat(np.arange(len(reads)), count)
    exact = np.zeros(len(left_ns), np.bool_)
    exact[np.cumsum(count) - 1] = True
    exact[0] &= row["first_token"] == row["first_token_after"]
    exact[-1] &= row["last_token"] == row["last_token_after"]
    stamp_ns = came_ns[read]
    after_ns = np.where(exact, 0, after_ns[read])
    return Tokens(stamp_ns - left_ns, exact, (after_ns < left_ns) & (left_ns <= stamp_ns))


def _joined(streams: list[Tokens], name: str) -> Any:
    return np.concatenate([getattr(one, name) for one in streams] or [_NOTHING])


def _share(exact: Any) -> float:
    """Of the stamps that are intervals."""
    return 1 - float(exact.mean()) if len(exact) else 0.0
